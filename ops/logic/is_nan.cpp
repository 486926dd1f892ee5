#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats, bool>(k, [](auto x) { return x != x; });
}

}  // namespace

extern constinit const OpDef op_is_nan = define({
    .name = "IsNaN",
    .since = 20,
    .introduced = 9,
    .doc = "Y = true where X is not a number.",
    .source = "ONNX IsNaN-20",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "bool", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{1, nan, inf} -> bool{false, true, false}"},
});

}  // namespace tessera
