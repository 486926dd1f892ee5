#pragma once
// Shared by the normalisations: statistics of contiguous elements, and rows y = (x - mean) * inverse * scale + bias.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ops/sum_in_parts.h"
#include "runtime/op/context.h"

namespace tessera {

// Rows handled by one parallel chunk, so that a chunk is about 32 Ki elements.
inline std::int64_t row_grain(std::int64_t row_elements) {
  return std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, row_elements));
}

// Sum of f(x[i]) over n elements.
template <class T, class F>
double sum_of(const T* x, std::int64_t n, F f) {
  return sum_in_parts<Compute<T>>(n, [=](std::int64_t i) { return f(static_cast<Compute<T>>(x[i])); });
}

struct Moments {
  double mean = 0, variance = 0;
};
// Mean and biased variance of n elements, in two passes: the one-pass formula cancels when |mean| >> deviation.
template <class T>
Moments moments(const T* x, std::int64_t n) {
  Moments m;
  m.mean = sum_of(x, n, [](auto v) { return v; }) / static_cast<double>(n);
  const auto mean = static_cast<Compute<T>>(m.mean);
  m.variance = sum_of(x, n, [mean](auto v) { return (v - mean) * (v - mean); }) / static_cast<double>(n);
  return m;
}

// y[i] = (x[i] - mean) * inverse * scale[i] + bias[i]; scale and bias may be null (1 and 0).
template <class T, class S>
void normalize_row(const T* x, T* y, std::int64_t n, double mean, double inverse, const S* scale, const S* bias) {
  using C = Compute<T>;
  const C m = static_cast<C>(mean), r = static_cast<C>(inverse);
  const auto row = [&](auto scale_at, auto bias_at) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i)
      y[i] = static_cast<T>((static_cast<C>(x[i]) - m) * r * scale_at(i) + bias_at(i));
  };
  const auto one = [](std::int64_t) { return C{1}; };
  const auto zero = [](std::int64_t) { return C{0}; };
  const auto scale_at = [=](std::int64_t i) { return static_cast<C>(static_cast<Compute<S>>(scale[i])); };
  const auto bias_at = [=](std::int64_t i) { return static_cast<C>(static_cast<Compute<S>>(bias[i])); };
  if (scale && bias)
    row(scale_at, bias_at);
  else if (scale)
    row(scale_at, zero);
  else if (bias)
    row(one, bias_at);
  else
    row(one, zero);
}

// For gradients: x brought to mean 0 and variance 1 over `axes`, written as nodes, and the way back through it. All of
// it is `widened`, as d must be too.
struct Standardized {
  GradContext& g;
  const std::vector<std::int64_t> axes;
  ValueId deviation, normal;  // sqrt(variance + epsilon), kept axes of size 1; (x - mean) / deviation

  // Reads the operator's attribute "epsilon".
  Standardized(GradContext& context, ValueId given, std::vector<std::int64_t> over)
      : g(context), axes(std::move(over)) {
    const ValueId x = g.widened(given);
    const ValueId centred = g.node("Sub", {x, mean(x)});
    const ValueId variance = mean(g.node("Mul", {centred, centred}));
    const double epsilon = static_cast<double>(g.attr().real("epsilon"));
    deviation = g.node("Sqrt", {g.node("Add", {variance, g.scalar_like(x, epsilon)})});
    normal = g.node("Div", {centred, deviation});
  }
  // dx from d = d(loss)/d(normal): (d - mean(d) - normal * mean(d * normal)) / deviation.
  ValueId back(ValueId d) {
    const ValueId along = g.node("Mul", {normal, mean(g.node("Mul", {d, normal}))});
    return g.node("Div", {g.node("Sub", {g.node("Sub", {d, mean(d)}), along}), deviation});
  }

 private:
  ValueId mean(ValueId v) { return g.node("ReduceMean", {v, g.ints(axes)}); }
};

// A scale or bias of any shape that broadcasts to x, read along x's axes from `axis` on as one row: the elements for
// the row that starts at element `at` of x. `row` is the caller's buffer for shapes that do not lie as one row already.
template <class S>
class RowOperand {
 public:
  // t may be null: no operand.
  RowOperand(const Tensor* t, const Shape& x, int axis) {
    if (!t) return;
    data_ = t->read<S>().data();
    const Shape strides = broadcast_strides(t->shape(), x), dense = row_major_strides(x);
    for (std::size_t a = static_cast<std::size_t>(axis); a < x.size(); ++a)
      whole_ = whole_ && (x[a] == 1 || strides[a] == dense[a]);
    for (std::size_t a = 0; a < x.size(); ++a) {
      (a < static_cast<std::size_t>(axis) ? outer_ : inner_).push_back(strides[a]);
      (a < static_cast<std::size_t>(axis) ? outer_dims_ : inner_dims_).push_back(x[a]);
    }
  }
  bool given() const { return data_ != nullptr; }
  bool whole() const { return whole_; }
  // The elements for outer row `index`; copied into `row` when they do not lie one after another.
  const S* at(std::int64_t index, S* row) const {
    const S* base = data_ + offset(index, outer_dims_, outer_);
    if (!data_ || whole_) return data_ ? base : nullptr;
    const std::int64_t n = count(inner_dims_);
    for (std::int64_t i = 0; i < n; ++i) row[i] = base[offset(i, inner_dims_, inner_)];
    return row;
  }

 private:
  static std::int64_t offset(std::int64_t index, const Shape& dims, const Shape& strides) {
    std::int64_t sum = 0;
    for (std::size_t a = dims.size(); a-- > 0; index /= dims[a]) sum += index % dims[a] * strides[a];
    return sum;
  }
  const S* data_ = nullptr;
  bool whole_ = true;
  Shape outer_, inner_, outer_dims_, inner_dims_;
};

}  // namespace tessera
