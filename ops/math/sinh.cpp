#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::sinh(x); });
}

std::vector<ValueId> gradient(GradContext& g) { return {g.node("Mul", {g.dout(0), g.node("Cosh", {g.in(0)})})}; }

}  // namespace

extern constinit const OpDef op_sinh = define({
    .name = "Sinh",
    .since = 22,
    .introduced = 9,
    .doc = "Y = sinh X, elementwise.",
    .source = "ONNX Sinh-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -2, 5} -> {0, 0.52109531, -3.6268604, 74.203211}", "{inf, -inf, nan} -> {inf, -inf, nan}"},
});

}  // namespace tessera
