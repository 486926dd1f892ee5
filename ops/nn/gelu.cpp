#include <numbers>

#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

constexpr double root_two_over_pi = std::numbers::sqrt2 * std::numbers::inv_sqrtpi, cubic = 0.044715;

void kernel(const KernelContext& k) {
  if (k.attr.text("approximate") == "tanh") {
    map<Floats>(k, [](auto x) {
      using T = decltype(x);
      const T u = T(root_two_over_pi) * (x + T(cubic) * x * x * x);
      return T(0.5) * x * (T(1) + vector_math::tanh(u));
    });
  } else {
    map<Floats>(k, [](auto x) {
      using T = decltype(x);
      return T(0.5) * x * (T(1) + vector_math::erf(x * T(1 / std::numbers::sqrt2)));
    });
  }
}

std::vector<ValueId> gradient(GradContext& g) {
  const bool by_tanh = g.attr().text("approximate") == "tanh";
  ValueId x = g.in(0);
  if (by_tanh) {  // beyond 16 the slope is 0 or 1 in every type, and an infinite square times 1 - t^2 = 0 would be NaN
    x = g.widened(x);
    x = g.node("Clip", {x, g.scalar_like(x, -16), g.scalar_like(x, 16)});
  }
  const ValueId one = g.scalar_like(x, 1), half = g.scalar_like(x, 0.5);
  const auto mul = [&](ValueId a, ValueId b) { return g.node("Mul", {a, b}); };
  const auto times = [&](ValueId a, double b) { return mul(a, g.scalar_like(a, b)); };
  const ValueId square = mul(x, x);
  ValueId slope;
  if (by_tanh) {
    // With u = c (x + k x^3) and t = tanh u: (1 + t) / 2 + x (1 - t^2) c (1 + 3 k x^2) / 2.
    const ValueId u = times(mul(x, g.node("Add", {one, times(square, cubic)})), root_two_over_pi);
    const ValueId t = g.node("Tanh", {u});
    const ValueId inner = times(g.node("Add", {one, times(square, 3 * cubic)}), root_two_over_pi);
    const ValueId bell = mul(mul(x, g.node("Sub", {one, mul(t, t)})), inner);
    slope = mul(half, g.node("Add", {g.node("Add", {one, t}), bell}));
  } else {
    // Phi(x) + x phi(x), phi the normal density.
    const ValueId phi = times(g.node("Exp", {times(square, -0.5)}), std::numbers::inv_sqrtpi / std::numbers::sqrt2);
    const ValueId cdf = mul(half, g.node("Add", {one, g.node("Erf", {times(x, 1 / std::numbers::sqrt2)})}));
    slope = g.node("Add", {cdf, mul(x, phi)});
  }
  return {mul(g.cast(g.dout(0), g.dtype(slope)), slope)};
}

}  // namespace

extern constinit const OpDef op_gelu = define({
    .name = "Gelu",
    .since = 20,
    .introduced = 20,
    .doc = "Y = X Phi(X), Phi the normal distribution function, or its tanh approximation.",
    .source = "ONNX Gelu-20; Hendrycks & Gimpel, arXiv 1606.08415",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"approximate", AttributeType::text, "none", "tanh: the formula with tanh, not erf", "none|tanh"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 1, -2} -> {0, 0.8413447, -0.0455003}",
                 "{0, 1, -2}; approximate=\"tanh\" -> {0, 0.841192, -0.0454023}"},
});

}  // namespace tessera
