#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return vector_math::exp(x); });
}

std::vector<ValueId> gradient(GradContext& g) { return {g.node("Mul", {g.dout(0), g.out(0)})}; }

}  // namespace

extern constinit const OpDef op_exp = define({
    .name = "Exp",
    .since = 13,
    .doc = "Y = e^X, elementwise.",
    .source = "ONNX Exp-13",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 1, -2} -> {1, 2.7182818, 0.13533528}"},
});

}  // namespace tessera
