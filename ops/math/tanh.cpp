#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return vector_math::tanh(x); });
}

std::vector<ValueId> gradient(GradContext& g) {
  // dx = dy (1 - y^2)
  const ValueId y = g.out(0);
  const ValueId slope = g.node("Sub", {g.scalar_like(y, 1), g.node("Mul", {y, y})});
  return {g.node("Mul", {g.dout(0), slope})};
}

}  // namespace

extern constinit const OpDef op_tanh = define({
    .name = "Tanh",
    .since = 13,
    .doc = "Y = tanh X, elementwise.",
    .source = "ONNX Tanh-13",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -1} -> {0, 0.4621172, -0.7615942}"},
});

}  // namespace tessera
