#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::asin(x); });
}

// dx = dy / sqrt((1 - x) (1 + x)): the product keeps its digits near 1.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), one = g.scalar_like(x, 1);
  const ValueId square = g.node("Mul", {g.node("Sub", {one, x}), g.node("Add", {one, x})});
  return {g.node("Div", {g.dout(0), g.node("Sqrt", {square})})};
}

}  // namespace

extern constinit const OpDef op_asin = define({
    .name = "Asin",
    .since = 22,
    .doc = "Y = arcsin X, elementwise, in [-pi/2, pi/2]; NaN outside [-1, 1].",
    .source = "ONNX Asin-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -0.75, 0.9} -> {0, 0.52359878, -0.84806208, 1.1197695}", "{2, -3, nan} -> {nan, nan, nan}"},
});

}  // namespace tessera
