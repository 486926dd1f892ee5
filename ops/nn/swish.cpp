#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  const float alpha = k.attr.real("alpha");
  map<Floats>(k, [alpha](auto x) { return x * vector_math::sigmoid(static_cast<decltype(x)>(alpha) * x); });
}

std::vector<ValueId> gradient(GradContext& g) {
  // With s = sigmoid(alpha x): dx = dy s (1 + alpha x (1 - s)).
  const ValueId x = g.in(0);
  const ValueId ax = g.node("Mul", {x, g.scalar_like(x, g.attr().real("alpha"))});
  const ValueId s = g.node("Sigmoid", {ax}), one = g.scalar_like(x, 1);
  const ValueId slope = g.node("Add", {one, g.node("Mul", {ax, g.node("Sub", {one, s})})});
  return {g.node("Mul", {g.dout(0), g.node("Mul", {s, slope})})};
}

}  // namespace

extern constinit const OpDef op_swish = define({
    .name = "Swish",
    .since = 24,
    .introduced = 24,
    .doc = "Y = X sigmoid(alpha X), elementwise; SiLU when alpha is 1.",
    .source = "ONNX Swish-24; Ramachandran et al., arXiv 1710.05941",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"alpha", AttributeType::real, 1.0f, "factor inside the sigmoid"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 1, -2} -> {0, 0.7310586, -0.2384058}", "{1, -2}; alpha=0.5 -> {0.6224593, -0.5378828}"},
});

}  // namespace tessera
