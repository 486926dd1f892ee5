#include <cmath>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return std::floor(x); });
}

}  // namespace

extern constinit const OpDef op_floor = define({
    .name = "Floor",
    .since = 13,
    .doc = "The largest integer not above each element, as a float.",
    .source = "ONNX Floor-13",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{-1.5, 1.2, 2} -> {-2, 1, 2}"},
});

}  // namespace tessera
