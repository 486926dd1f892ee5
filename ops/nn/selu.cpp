#include "ops/exponential_units.h"

namespace tessera {
namespace {

ExponentialUnit unit(const AttributeReader& a) {
  const double gamma = a.real("gamma");
  return {.scale = gamma, .depth = gamma * a.real("alpha"), .width = 1};
}

void kernel(const KernelContext& k) { exponential_units(k, unit(k.attr)); }

std::vector<ValueId> gradient(GradContext& g) { return exponential_units_gradient(g, unit(g.attr())); }

// The defaults had five digits.
void rounded_defaults(RewriteContext& c) {
  c.attributes.try_emplace("alpha", 1.6732f);
  c.attributes.try_emplace("gamma", 1.0507f);
}

}  // namespace

extern constinit const OpDef op_selu = define({
    .name = "Selu",
    .since = 22,
    .doc = "Y = gamma X where X >= 0, else gamma alpha (e^X - 1), elementwise; the defaults keep mean 0 and variance 1 "
           "from layer to layer.",
    .source = "ONNX Selu-22; Klambauer et al., NIPS 2017",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"alpha", AttributeType::real, 1.67326319217681884765625f, "depth below 0"},
                   {"gamma", AttributeType::real, 1.05070102214813232421875f, "slope above 0"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{6, rounded_defaults}},
    .examples = {"{-1, 0.5, 2, -100} -> {-1.1113307, 0.52535051, 2.101402, -1.7580993}",
                 "{-0.5, 3}; alpha=2; gamma=3 -> {-2.360816, 9}", "{inf, -inf, nan} -> {inf, -1.7580993, nan}"},
});

}  // namespace tessera
