#include "ops/exponential_units.h"

namespace tessera {
namespace {

ExponentialUnit unit(const AttributeReader& a) { return {.scale = 1, .depth = a.real("alpha"), .width = 1}; }

void kernel(const KernelContext& k) { exponential_units(k, unit(k.attr)); }

std::vector<ValueId> gradient(GradContext& g) { return exponential_units_gradient(g, unit(g.attr())); }

}  // namespace

extern constinit const OpDef op_elu = define({
    .name = "Elu",
    .since = 22,
    .doc = "Y = X where X >= 0, else alpha (e^X - 1), elementwise.",
    .source = "ONNX Elu-22; Clevert et al., ICLR 2016",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"alpha", AttributeType::real, 1.0f, "how deep it goes"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0.5, 2, -100} -> {-0.63212056, 0.5, 2, -1}", "{-0.5, 3}; alpha=2 -> {-0.78693868, 3}",
                 "{inf, -inf, nan, -1e-06} -> {inf, -1, nan, -9.999995e-07}"},
});

}  // namespace tessera
