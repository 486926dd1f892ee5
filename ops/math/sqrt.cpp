#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::sqrt(x); });
}

std::vector<ValueId> gradient(GradContext& g) {
  // dx = dy / (2 y)
  return {g.node("Div", {g.node("Mul", {g.dout(0), g.scalar_like(g.out(0), 0.5)}), g.out(0)})};
}

}  // namespace

extern constinit const OpDef op_sqrt = define({
    .name = "Sqrt",
    .since = 13,
    .doc = "Y = the square root of X, elementwise; NaN for negative X.",
    .source = "ONNX Sqrt-13",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1, 4, 0.25} -> {1, 2, 0.5}"},
});

}  // namespace tessera
