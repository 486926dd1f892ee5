#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::acos(x); });
}

// dx = -dy / sqrt((1 - x) (1 + x)): the product keeps its digits near 1.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), one = g.scalar_like(x, 1);
  const ValueId square = g.node("Mul", {g.node("Sub", {one, x}), g.node("Add", {one, x})});
  return {g.node("Neg", {g.node("Div", {g.dout(0), g.node("Sqrt", {square})})})};
}

}  // namespace

extern constinit const OpDef op_acos = define({
    .name = "Acos",
    .since = 22,
    .doc = "Y = arccos X, elementwise, in [0, pi]; NaN outside [-1, 1].",
    .source = "ONNX Acos-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -0.75, 0.9} -> {1.5707963, 1.0471976, 2.4188584, 0.45102681}",
                 "{1, 2, -3, nan} -> {0, nan, nan, nan}"},
});

}  // namespace tessera
