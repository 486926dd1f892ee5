#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::cosh(x); });
}

std::vector<ValueId> gradient(GradContext& g) { return {g.node("Mul", {g.dout(0), g.node("Sinh", {g.in(0)})})}; }

}  // namespace

extern constinit const OpDef op_cosh = define({
    .name = "Cosh",
    .since = 22,
    .introduced = 9,
    .doc = "Y = cosh X, elementwise.",
    .source = "ONNX Cosh-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -2, 5} -> {1, 1.127626, 3.7621957, 74.209949}", "{inf, -inf, nan} -> {inf, inf, nan}"},
});

}  // namespace tessera
