#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return vector_math::softplus(x); });
}

std::vector<ValueId> gradient(GradContext& g) { return {g.node("Mul", {g.dout(0), g.node("Sigmoid", {g.in(0)})})}; }

}  // namespace

extern constinit const OpDef op_softplus = define({
    .name = "Softplus",
    .since = 22,
    .doc = "Y = log(1 + e^X), elementwise, without overflow.",
    .source = "ONNX Softplus-22",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 1, -2} -> {0.6931472, 1.3132616, 0.126928}"},
});

}  // namespace tessera
