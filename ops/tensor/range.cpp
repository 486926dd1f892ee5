#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

// Numbers start, start + delta, ... before limit; 0 when the direction is wrong. Error(bad_input) beyond 2^62.
template <class T>
std::int64_t numbers(T start, T limit, T delta) {
  constexpr const char* too_many = "Range has too many elements";
  check(delta != T{0}, "delta is 0");
  if constexpr (std::is_floating_point_v<T>) {
    const double n = std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
    check(n == n, "start, limit or delta is no number");
    check(n < 0x1p62, too_many);
    return n > 0 ? static_cast<std::int64_t>(n) : 0;
  } else {
    const bool up = delta > T{0};
    if (up ? start >= limit : start <= limit) return 0;
    const auto low = static_cast<std::uint64_t>(up ? start : limit),
               high = static_cast<std::uint64_t>(up ? limit : start);
    const auto step = up ? static_cast<std::uint64_t>(delta) : 0 - static_cast<std::uint64_t>(delta);
    const std::uint64_t n = (high - low - 1) / step + 1;
    check(n < std::uint64_t{1} << 62, too_many);
    return static_cast<std::int64_t>(n);
  }
}

void shape(ShapeContext& c) {
  for (int i = 0; i < 3; ++i)
    check(c.value(i).size() == 1, "start, limit and delta must be scalars, got shape ", c.in(i));
  with_type(Numeric{}, c.dtype(0), [&]<class T>(Type<T>) {
    const auto value = [&](int i) { return static_cast<Compute<T>>(c.value(i).read<T>()[0]); };
    c.out(0, {numbers(value(0), value(1), value(2))});
  });
}

void kernel(const KernelContext& k) {
  with_type(Numeric{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using C = Compute<T>;
    const C start = static_cast<C>(k.in(0).read<T>()[0]), delta = static_cast<C>(k.in(2).read<T>()[0]);
    T* y = k.out(0).template write<T>().data();
    run_parallel(k.out(0).size(), pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        if constexpr (std::is_integral_v<C>)
          y[i] = static_cast<T>(static_cast<std::uint64_t>(start) +
                                static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>(delta));
        else
          y[i] = static_cast<T>(start + static_cast<C>(i) * delta);
      }
    });
  });
}

}  // namespace

extern constinit const OpDef op_range = define({
    .name = "Range",
    .since = 11,
    .introduced = 11,
    .doc = "start, start + delta, start + 2 delta, ... up to but not including limit.",
    .source = "ONNX Range-11",
    .inputs = {{"start", "T", "scalar"}, {"limit", "T", "scalar"}, {"delta", "T", "scalar, not 0"}},
    .outputs = {{"output", "T", "[max(ceil((limit - start) / delta), 0)]"}},
    .types = {{"T", dtypes::numeric}},
    .shape_reads = {0, 1, 2},
    .shape = shape,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"i64 3; i64 9; i64 3 -> i64{3, 6}", "1; 2.2; 0.5 -> {1, 1.5, 2}",
                 "i32 10; i32 4; i32 -2 -> i32{10, 8, 6}", "i64 1; i64 0; i64 1 -> i64[0]{}"},
});

}  // namespace tessera
