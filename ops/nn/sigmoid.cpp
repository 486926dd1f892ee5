#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return vector_math::sigmoid(x); });
}

std::vector<ValueId> gradient(GradContext& g) {
  // dx = dy y (1 - y)
  const ValueId y = g.out(0);
  const ValueId slope = g.node("Mul", {y, g.node("Sub", {g.scalar_like(y, 1), y})});
  return {g.node("Mul", {g.dout(0), slope})};
}

}  // namespace

extern constinit const OpDef op_sigmoid = define({
    .name = "Sigmoid",
    .since = 13,
    .doc = "Y = 1 / (1 + e^-X), elementwise.",
    .source = "ONNX Sigmoid-13",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 1, -2} -> {0.5, 0.7310586, 0.1192029}"},
});

}  // namespace tessera
