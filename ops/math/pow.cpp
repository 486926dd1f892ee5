#include <cmath>

#include "ops/broadcast_axis.h"
#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

template <class T>
concept Integer = std::is_integral_v<T>;

// Integer powers are exact modulo 2^bits; a negative exponent truncates 1 / a^-b towards zero (0 to a negative power
// has no such value and gives 0). Everything else is computed in floats, and truncated for an integer base.
template <class A, class B>
A power(A a, B b) {
  if constexpr (Integer<A> && Integer<B>) {
    if (b >= 0) return wrapping_pow(a, static_cast<std::uint64_t>(b));
    const bool odd = (b & 1) != 0;
    return a == 1 ? A{1} : std::is_signed_v<A> && a == static_cast<A>(-1) ? (odd ? a : A{1}) : A{0};
  } else if constexpr (Integer<A>) {
    return to_element<A>(std::pow(static_cast<double>(a), static_cast<double>(b)));
  } else if constexpr (std::is_same_v<A, float> && std::is_same_v<B, float>) {
    return std::pow(a, b);
  } else {
    return static_cast<A>(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
}

// The frequent scalar exponents, as plain arithmetic. False when it is none of them.
template <class T>
bool by_known_exponent(const KernelContext& k, double exponent) {
  const auto run = [&](auto f) {
    map_values(k.in(0).template read<T>().data(), k.out(0).template write<T>().data(), k.in(0).size(), f);
    return true;
  };
  using C = Compute<T>;
  if (exponent == 2) return run([](C x) { return x * x; });
  if (exponent == 3) return run([](C x) { return x * x * x; });
  if (exponent == 1) return run([](C x) { return x; });
  if (exponent == -1) return run([](C x) { return C{1} / x; });
  // As pow, but of -inf and -0: sqrt gives NaN and -0 where pow gives inf and 0.
  if (exponent == 0.5) return run([](C x) { return x == -INFINITY ? C(INFINITY) : std::sqrt(x) + C{0}; });
  if (exponent == -0.5) return run([](C x) { return x == -INFINITY ? C{0} : C{1} / (std::sqrt(x) + C{0}); });
  return false;
}

using Bases = Types<float, double, f16, bf16, std::int64_t, std::int32_t>;

void kernel(const KernelContext& k) {
  with_type(Bases{}, k.in(0).dtype(), [&]<class A>(Type<A>) {
    with_type(Numeric{}, k.in(1).dtype(), [&]<class B>(Type<B>) {
      if constexpr (!Integer<A>) {
        if (k.in(1).size() == 1 && k.in(0).size() == k.out(0).size() &&
            by_known_exponent<A>(k, static_cast<double>(static_cast<Compute<B>>(k.in(1).template read<B>()[0]))))
          return;
      }
      map2_tensors<A, B, A>(k.in(0), k.in(1), k.out(0), [](auto a, auto b) { return power(a, b); });
    });
  });
}

// dX = dZ Y X^(Y-1), 0 where Y = 0; dY = dZ Z log X, 0 where X <= 0.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0);
  const ValueId y = g.cast(g.in(1), g.dtype(x));
  const ValueId zero = g.scalar_like(x, 0), one = g.scalar_like(x, 1);
  ValueId dx = ValueId::none, dy = ValueId::none;
  if (g.needs(0)) {
    const Tensor* known = g.value(g.in(1));
    if (known && known->size() == 1 && known->rank() == 0) {
      const double p = doubles(*known)[0];
      const ValueId lower = p == 2 ? x : g.node("Pow", {x, g.scalar_like(x, p - 1)});
      const ValueId slope = p == 0 ? zero : g.node("Mul", {g.scalar_like(x, p), lower});
      dx = g.node("Mul", {g.dout(0), slope});
    } else {
      const ValueId slope = g.node("Mul", {y, g.node("Pow", {x, g.node("Sub", {y, one})})});
      dx = g.node("Mul", {g.dout(0), g.node("Where", {g.node("Equal", {y, zero}), zero, slope})});
    }
  }
  if (g.needs(1)) {
    const ValueId positive = g.node("Greater", {x, zero});
    const ValueId log = g.node("Log", {g.node("Where", {positive, x, one})});
    dy = g.node("Mul", {g.dout(0), g.node("Mul", {g.out(0), log})});
  }
  return {dx, dy};
}

}  // namespace

extern constinit const OpDef op_pow = define({
    .name = "Pow",
    .since = 15,
    .doc = "Z = X to the power Y, elementwise with broadcasting, in the type of X. Integer powers wrap.",
    .source = "ONNX Pow-15",
    .inputs = {{"X", "T", "any shape"}, {"Y", "T1", "broadcasts with X"}},
    .outputs = {{"Z", "T", "the broadcast shape"}},
    .types = {{"T", set_of(Bases{})}, {"T1", dtypes::numeric}},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{7, broadcast_from_axis}},
    .examples = {"{1, 2, 3}; {4, 5, -2} -> {1, 32, 0.11111111}", "{{1.5}, {2}}; {2, 3} -> {{2.25, 3.375}, {4, 8}}",
                 "{1, 4, 9}; 0.5 -> {1, 2, 3}", "{1, 2, -3}; i64 3 -> {1, 8, -27}", "i32{1, 2, 3}; 2 -> i32{1, 4, 9}",
                 "i64{3, -1}; i64{39, 5} -> i64{4052555153018976267, -1}"},
});

}  // namespace tessera
