#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return x / (1 + std::abs(x)); });
}

// dx = dy / (1 + |x|)^2
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), size = g.node("Add", {g.node("Abs", {x}), g.scalar_like(x, 1)});
  return {g.node("Div", {g.dout(0), g.node("Mul", {size, size})})};
}

}  // namespace

extern constinit const OpDef op_softsign = define({
    .name = "Softsign",
    .since = 22,
    .doc = "Y = X / (1 + |X|), elementwise.",
    .source = "ONNX Softsign-22; Glorot & Bengio, AISTATS 2010",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0.5, 3, -1e+20} -> {-0.5, 0.33333333, 0.75, -1}", "{nan} -> {nan}"},
});

}  // namespace tessera
