#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::asinh(x); });
}

// dx = dy / sqrt(x^2 + 1)
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0);
  const ValueId square = g.node("Add", {g.node("Mul", {x, x}), g.scalar_like(x, 1)});
  return {g.node("Div", {g.dout(0), g.node("Sqrt", {square})})};
}

}  // namespace

extern constinit const OpDef op_asinh = define({
    .name = "Asinh",
    .since = 22,
    .introduced = 9,
    .doc = "Y = arsinh X, elementwise.",
    .source = "ONNX Asinh-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -2, 1000} -> {0, 0.48121183, -1.4436355, 7.6009027}",
                 "{inf, -inf, nan} -> {inf, -inf, nan}"},
});

}  // namespace tessera
