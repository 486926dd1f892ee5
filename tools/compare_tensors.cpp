#include "tools/compare_tensors.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"

namespace tessera {
namespace {

// "[1, 0, 3]" of flat index i.
std::string place(std::int64_t i, const Shape& shape) {
  std::string text;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    text = concat(i % shape[d], text.empty() ? "" : ", ", text);
    i /= shape[d];
  }
  return "[" + text + "]";
}

template <class T>
void compare_floats(const Tensor& actual, const Tensor& expected, const Tolerance& tol, Comparison& result,
                    std::int64_t& worst) {
  const auto a = actual.read<T>(), b = expected.read<T>();
  const auto value = [](T x) { return static_cast<double>(static_cast<Compute<T>>(x)); };
  double largest = 0, worst_excess = -1;
  for (const T x : b)
    if (std::isfinite(value(x))) largest = std::max(largest, std::abs(value(x)));
  const double floor = tol.rel_max.value_or(0) * largest;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = value(a[i]), y = value(b[i]);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double error = std::abs(x - y);
    const bool finite = std::isfinite(x) && std::isfinite(y);
    if (finite) {
      result.max_abs = std::max(result.max_abs, error);
      if (y != 0) result.max_rel = std::max(result.max_rel, error / std::abs(y));
    }
    const double allowed = std::max(tol.atol + tol.rtol * std::abs(y), floor);
    if (finite && error <= allowed) continue;
    ++result.differing;
    const double excess = finite ? error - allowed : HUGE_VAL;
    if (excess > worst_excess) {
      worst_excess = excess;
      worst = static_cast<std::int64_t>(i);
    }
  }
}

template <class T>
void compare_exactly(const Tensor& actual, const Tensor& expected, Comparison& result, std::int64_t& worst) {
  const auto a = actual.read<T>(), b = expected.read<T>();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]), error = std::abs(x - y);
    if (result.differing++ == 0 || error > result.max_abs) worst = static_cast<std::int64_t>(i);
    result.max_abs = std::max(result.max_abs, error);
    if (y != 0) result.max_rel = std::max(result.max_rel, error / std::abs(y));
  }
}

// With all its digits: what differs must look different.
std::string element(const Tensor& t, std::int64_t i) {
  std::string text;
  with_type(AllTypes{}, t.dtype(), [&]<class T>(Type<T>) {
    text = fmt::format("{}", static_cast<Compute<T>>(t.read<T>()[static_cast<std::size_t>(i)]));
  });
  return text;
}

}  // namespace

Comparison compare(const Tensor& actual, const Tensor& expected, const Tolerance& tolerance) {
  Comparison result;
  if (actual.dtype() != expected.dtype()) {
    result.problem = concat("type is ", actual.dtype(), ", should be ", expected.dtype());
    return result;
  }
  if (actual.shape() != expected.shape()) {
    result.problem = concat("shape is ", actual.shape(), ", should be ", expected.shape());
    return result;
  }
  std::int64_t worst = 0;
  with_type(AllTypes{}, actual.dtype(), [&]<class T>(Type<T>) {
    if constexpr (std::is_integral_v<T>)
      compare_exactly<T>(actual, expected, result, worst);
    else
      compare_floats<T>(actual, expected, tolerance, result, worst);
  });
  if (result.differing > 0)
    result.problem =
        concat(result.differing, " of ", actual.size(), " elements differ, most at ", place(worst, actual.shape()),
               ": ", element(actual, worst), ", should be ", element(expected, worst));
  return result;
}

}  // namespace tessera
