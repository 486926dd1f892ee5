#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Signed>(k, [](auto x) { return x < 0 ? decltype(x){0} : x; });  // keeps NaN
}

// dx = dy where y > 0, else 0. At x = 0 we take the subgradient 0.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId positive = g.node("Greater", {g.out(0), g.scalar_like(g.out(0), 0)});
  return {g.node("Where", {positive, g.dout(0), g.scalar_like(g.out(0), 0)})};
}

}  // namespace

extern constinit const OpDef op_relu = define({
    .name = "Relu",
    .since = 14,
    .doc = "Y = max(X, 0), elementwise.",
    .source = "ONNX Relu-14; Nair & Hinton, ICML 2010",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::signed_numbers}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0.5, 2} -> {0, 0.5, 2}"},
});

}  // namespace tessera
