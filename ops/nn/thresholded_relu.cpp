#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  const float alpha = k.attr.real("alpha");
  map<Floats>(k, [alpha](auto x) { return x <= static_cast<decltype(x)>(alpha) ? decltype(x){0} : x; });
}

// dx = dy where x > alpha, else 0.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), above = g.node("Greater", {x, g.scalar_like(x, g.attr().real("alpha"))});
  return {g.node("Where", {above, g.dout(0), g.scalar_like(x, 0)})};
}

}  // namespace

extern constinit const OpDef op_thresholded_relu = define({
    .name = "ThresholdedRelu",
    .since = 22,
    .introduced = 10,
    .doc = "Y = X where X > alpha, else 0, elementwise; NaN stays NaN.",
    .source = "ONNX ThresholdedRelu-22; Konda et al. 2014, arXiv 1402.3337",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"alpha", AttributeType::real, 1.0f, "the threshold; it gives 0 itself"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0.5, 1.5, 200} -> {0, 0, 1.5, 200}", "{-2, -1, 0.5}; alpha=-1.5 -> {0, -1, 0.5}",
                 "{inf, -inf, nan} -> {inf, 0, nan}"},
});

}  // namespace tessera
