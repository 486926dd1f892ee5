#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Types<bool>>(k, [](bool x) { return !x; });
}

}  // namespace

extern constinit const OpDef op_not = define({
    .name = "Not",
    .since = 1,
    .doc = "Y = not X, elementwise.",
    .source = "ONNX Not-1",
    .inputs = {{"X", "bool", "any shape"}},
    .outputs = {{"Y", "bool", "shape of X"}},
    .types = {},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"bool{true, false} -> bool{false, true}"},
});

}  // namespace tessera
