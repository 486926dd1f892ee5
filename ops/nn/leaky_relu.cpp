#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  const float alpha = k.attr.real("alpha");
  map<Floats>(k, [alpha](auto x) { return x < 0 ? static_cast<decltype(x)>(alpha) * x : x; });  // keeps NaN
}

// dx = dy alpha where x < 0, else dy.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), negative = g.node("Less", {x, g.scalar_like(x, 0)});
  const ValueId below = g.node("Mul", {g.dout(0), g.scalar_like(x, g.attr().real("alpha"))});
  return {g.node("Where", {negative, below, g.dout(0)})};
}

}  // namespace

extern constinit const OpDef op_leaky_relu = define({
    .name = "LeakyRelu",
    .since = 16,
    .doc = "Y = X where X >= 0, else alpha X, elementwise.",
    .source = "ONNX LeakyRelu-16; Maas et al., ICML 2013",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"alpha", AttributeType::real, 0.01f, "slope below 0"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0.5, 200, -300} -> {-0.01, 0.5, 200, -3}", "{-2, 3}; alpha=-0.5 -> {1, 3}",
                 "{inf, -inf, nan} -> {inf, -inf, nan}"},
});

}  // namespace tessera
