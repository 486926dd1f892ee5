#include "ops/exponential_units.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check(c.attr.real("alpha") != 0, "alpha must not be 0");
  same_as_input(c);
}

ExponentialUnit unit(const AttributeReader& a) {
  const double alpha = a.real("alpha");
  return {.scale = 1, .depth = alpha, .width = alpha};
}

void kernel(const KernelContext& k) { exponential_units(k, unit(k.attr)); }

std::vector<ValueId> gradient(GradContext& g) { return exponential_units_gradient(g, unit(g.attr())); }

}  // namespace

extern constinit const OpDef op_celu = define({
    .name = "Celu",
    .since = 12,
    .introduced = 12,
    .doc = "Y = X where X >= 0, else alpha (e^(X / alpha) - 1), elementwise: once differentiable for every alpha. f32 "
           "in the specification; any float here.",
    .source = "ONNX Celu-12; Barron 2017, arXiv 1704.07483",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"alpha", AttributeType::real, 1.0f, "how deep it goes; not 0"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0.5, 2, -100} -> {-0.63212056, 0.5, 2, -1}",
                 "{-0.5, 3, -4}; alpha=2 -> {-0.44239843, 3, -1.7293294}", "{-0.5, 3}; alpha=-1 -> {-0.64872127, 3}",
                 "{inf, -inf, nan} -> {inf, -1, nan}"},
});

}  // namespace tessera
