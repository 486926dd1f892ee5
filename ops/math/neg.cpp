#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Signed>(k, [](auto x) { return wrapping_neg(x); });
}

std::vector<ValueId> gradient(GradContext& g) { return {g.node("Neg", {g.dout(0)})}; }

}  // namespace

extern constinit const OpDef op_neg = define({
    .name = "Neg",
    .since = 13,
    .doc = "Y = -X, elementwise. The smallest integer wraps to itself.",
    .source = "ONNX Neg-13",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::signed_numbers}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0.5, 2} -> {1, -0.5, -2}", "i32{-2147483648, 3} -> i32{-2147483648, -3}"},
});

}  // namespace tessera
