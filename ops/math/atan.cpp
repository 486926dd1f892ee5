#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::atan(x); });
}

// dx = dy / (1 + x^2)
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0);
  return {g.node("Div", {g.dout(0), g.node("Add", {g.scalar_like(x, 1), g.node("Mul", {x, x})})})};
}

}  // namespace

extern constinit const OpDef op_atan = define({
    .name = "Atan",
    .since = 22,
    .doc = "Y = arctan X, elementwise, in [-pi/2, pi/2].",
    .source = "ONNX Atan-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -2, 100} -> {0, 0.46364761, -1.1071487, 1.5607967}",
                 "{inf, -inf, nan} -> {1.5707963, -1.5707963, nan}"},
});

}  // namespace tessera
