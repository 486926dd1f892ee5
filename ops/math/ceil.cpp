#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::ceil(x); });
}

}  // namespace

extern constinit const OpDef op_ceil = define({
    .name = "Ceil",
    .since = 13,
    .doc = "The smallest integer not below each element, as a float.",
    .source = "ONNX Ceil-13",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{-1.5, 1.2, 2} -> {-1, 2, 2}"},
});

}  // namespace tessera
