#include <cmath>

#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check(c.attr.flag("fmod") || !dtypes::floats.has(c.dtype(0)), "floats need fmod=1");
  broadcast_all(c);
}

// The remainder with the sign of b, as Python's %.
template <class T>
T floor_mod(T a, T b) {
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return 0;  // the smallest integer has no quotient
    const auto r = static_cast<T>(a % b);
    return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
  } else {
    return static_cast<T>(a % b);
  }
}

// The remainder with the sign of a, as C's fmod.
template <class T>
T truncated_mod(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return std::fmod(a, b);
  else if constexpr (std::is_signed_v<T>)
    return b == -1 ? T{0} : static_cast<T>(a % b);
  else
    return static_cast<T>(a % b);
}

void kernel(const KernelContext& k) {
  const bool truncated = k.attr.flag("fmod");
  with_type(Numeric{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const auto run = [&](auto f) { map2_tensors<T, T, T>(k.in(0), k.in(1), k.out(0), f); };
    if constexpr (std::is_integral_v<T>) {
      if (k.out(0).size() > 0) check_divisors<T>(k.in(1));
      if (!truncated) return run([](T a, T b) { return floor_mod(a, b); });
    }
    run([](auto a, auto b) { return truncated_mod(a, b); });
  });
}

// C = A - B trunc(A / B), so dA = dC and dB = -dC trunc(A / B).
std::vector<ValueId> gradient(GradContext& g) {
  if (!g.needs(1)) return {g.dout(0)};
  const ValueId ratio = g.node("Div", {g.in(0), g.in(1)});
  const ValueId size = g.node("Floor", {g.node("Abs", {ratio})});
  const ValueId truncated = g.node("Mul", {g.node("Sign", {ratio}), size});
  return {g.dout(0), g.node("Neg", {g.node("Mul", {g.dout(0), truncated})})};
}

}  // namespace

extern constinit const OpDef op_mod = define({
    .name = "Mod",
    .since = 13,
    .introduced = 10,
    .doc = "C = the remainder of A / B, elementwise with broadcasting, with the sign of B; with fmod=1 with the sign "
           "of A.",
    .source = "ONNX Mod-13",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "broadcasts with A; integers not 0"}},
    .outputs = {{"C", "T", "the broadcast shape"}},
    .attributes = {{"fmod", AttributeType::integer, 0, "1: the sign of A, as C's fmod; required for floats"}},
    .types = {{"T", dtypes::numeric}},
    .shape = shape,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"i64{-4, 7, 5}; i64{2, -3, 8} -> i64{0, -2, 5}",
                 "i64{-4, 7, 5}; i64{3, -3, 8}; fmod=1 -> i64{-1, 1, 5}",
                 "{-4.3, 7.2, 5}; {2.1, -3.4, 8}; fmod=1 -> {-0.1, 0.4, 5}", "i32{-7, 9}; i32 4 -> i32{1, 1}"},
});

}  // namespace tessera
