#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

// The specification allows integers; results are truncated.
template <class T>
T error_function(T x) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(std::erf(static_cast<double>(x)));
  else
    return vector_math::erf(x);
}

void kernel(const KernelContext& k) {
  map<Numeric>(k, [](auto x) { return error_function(x); });
}

std::vector<ValueId> gradient(GradContext& g) {
  // erf'(x) = 2 / sqrt(pi) e^(-x^2)
  const ValueId x = g.in(0);
  const ValueId bell = g.node("Exp", {g.node("Neg", {g.node("Mul", {x, x})})});
  return {g.node("Mul", {g.dout(0), g.node("Mul", {bell, g.scalar_like(x, 2 * std::numbers::inv_sqrtpi)})})};
}

}  // namespace

extern constinit const OpDef op_erf = define({
    .name = "Erf",
    .since = 13,
    .introduced = 9,
    .doc = "Y = erf X, the error function, elementwise.",
    .source = "ONNX Erf-13",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::numeric}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -1, 3} -> {0, 0.5204999, -0.8427008, 0.9999779}"},
});

}  // namespace tessera
