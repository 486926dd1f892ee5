#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::atanh(x); });
}

// dx = dy / ((1 - x) (1 + x)): the product keeps its digits near 1.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), one = g.scalar_like(x, 1);
  return {g.node("Div", {g.dout(0), g.node("Mul", {g.node("Sub", {one, x}), g.node("Add", {one, x})})})};
}

}  // namespace

extern constinit const OpDef op_atanh = define({
    .name = "Atanh",
    .since = 22,
    .introduced = 9,
    .doc = "Y = artanh X, elementwise; infinite at -1 and 1, NaN outside.",
    .source = "ONNX Atanh-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -0.9375} -> {0, 0.54930614, -1.7169936}", "{1, -1, 2} -> {inf, -inf, nan}"},
});

}  // namespace tessera
