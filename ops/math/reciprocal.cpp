#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return 1 / x; });
}

std::vector<ValueId> gradient(GradContext& g) {
  // dx = -dy y^2
  const ValueId square = g.node("Mul", {g.out(0), g.out(0)});
  return {g.node("Neg", {g.node("Mul", {g.dout(0), square})})};
}

}  // namespace

extern constinit const OpDef op_reciprocal = define({
    .name = "Reciprocal",
    .since = 13,
    .doc = "Y = 1 / X, elementwise.",
    .source = "ONNX Reciprocal-13",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1, -4, 0.5} -> {1, -0.25, 2}"},
});

}  // namespace tessera
