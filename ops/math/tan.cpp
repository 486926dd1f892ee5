#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::tan(x); });
}

// dx = dy (1 + y^2)
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId y = g.out(0);
  return {g.node("Mul", {g.dout(0), g.node("Add", {g.scalar_like(y, 1), g.node("Mul", {y, y})})})};
}

}  // namespace

extern constinit const OpDef op_tan = define({
    .name = "Tan",
    .since = 22,
    .doc = "Y = tan X, elementwise; X in radians.",
    .source = "ONNX Tan-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -2, 100} -> {0, 0.54630249, 2.1850399, -0.58721392}", "{inf, nan} -> {nan, nan}"},
});

}  // namespace tessera
