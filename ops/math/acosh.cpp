#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::acosh(x); });
}

// dx = dy / sqrt((x - 1) (x + 1)): the product keeps its digits near 1.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), one = g.scalar_like(x, 1);
  const ValueId square = g.node("Mul", {g.node("Sub", {x, one}), g.node("Add", {x, one})});
  return {g.node("Div", {g.dout(0), g.node("Sqrt", {square})})};
}

}  // namespace

extern constinit const OpDef op_acosh = define({
    .name = "Acosh",
    .since = 22,
    .introduced = 9,
    .doc = "Y = arcosh X, elementwise; NaN below 1.",
    .source = "ONNX Acosh-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1.125, 2, 10, 2000} -> {0.49493292, 1.3169579, 2.9932228, 8.2940496}",
                 "{1, 0.5, inf} -> {0, nan, inf}"},
});

}  // namespace tessera
