#include "ops/sine.h"

namespace tessera {
namespace {

std::vector<ValueId> gradient(GradContext& g) { return {g.node("Mul", {g.dout(0), g.node("Cos", {g.in(0)})})}; }

}  // namespace

extern constinit const OpDef op_sin = define({
    .name = "Sin",
    .since = 22,
    .doc = "Y = sin X, elementwise; X in radians.",
    .source = "ONNX Sin-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = sine_kernel<0>,
    .gradient = gradient,
    .examples = {"{0, 0.5, -2, 100} -> {0, 0.4794255, -0.9092974, -0.50636564}"},
});

}  // namespace tessera
