#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::nearbyint(x); });
}

}  // namespace

extern constinit const OpDef op_round = define({
    .name = "Round",
    .since = 22,
    .introduced = 11,
    .doc = "The nearest integer, as a float; halves go to the even one.",
    .source = "ONNX Round-22",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{0.9, 2.5, 1.5, -4.5, -0.5} -> {1, 2, 2, -4, 0}"},
});

}  // namespace tessera
