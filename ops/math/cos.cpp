#include "ops/sine.h"

namespace tessera {
namespace {

std::vector<ValueId> gradient(GradContext& g) {
  return {g.node("Neg", {g.node("Mul", {g.dout(0), g.node("Sin", {g.in(0)})})})};
}

}  // namespace

extern constinit const OpDef op_cos = define({
    .name = "Cos",
    .since = 22,
    .doc = "Y = cos X, elementwise; X in radians.",
    .source = "ONNX Cos-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = sine_kernel<1>,
    .gradient = gradient,
    .examples = {"{0, 0.5, -2, 100} -> {1, 0.8775826, -0.4161468, 0.8623189}"},
});

}  // namespace tessera
