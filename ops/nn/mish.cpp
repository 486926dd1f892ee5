#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return x * vector_math::tanh_softplus(x); });
}

// With t = tanh(softplus x): dx = dy (t + x sigmoid(x) (1 - t^2)).
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), t = g.node("Tanh", {g.node("Softplus", {x})});
  const ValueId bend = g.node("Sub", {g.scalar_like(x, 1), g.node("Mul", {t, t})});
  const ValueId rest = g.node("Mul", {g.node("Mul", {x, g.node("Sigmoid", {x})}), bend});
  return {g.node("Mul", {g.dout(0), g.node("Add", {t, rest})})};
}

}  // namespace

extern constinit const OpDef op_mish = define({
    .name = "Mish",
    .since = 22,
    .introduced = 18,
    .doc = "Y = X tanh(log(1 + e^X)), elementwise.",
    .source = "ONNX Mish-22; Misra, BMVC 2020",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0, 0.5, 2, -20, 100} -> {-0.30340146, 0, 0.37524521, 1.943959, -4.1223072e-08, 100}",
                 "{inf, nan} -> {inf, nan}"},
});

}  // namespace tessera
