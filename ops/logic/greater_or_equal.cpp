#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map2<Numeric, bool>(k, [](auto a, auto b) { return a >= b; });
}

}  // namespace

extern constinit const OpDef op_greater_or_equal = define({
    .name = "GreaterOrEqual",
    .since = 16,
    .introduced = 12,
    .doc = "C = A >= B, elementwise with broadcasting. False where either is NaN.",
    .source = "ONNX GreaterOrEqual-16",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "broadcasts with A"}},
    .outputs = {{"C", "bool", "the broadcast shape"}},
    .types = {{"T", dtypes::numeric}},
    .shape = broadcast_all,
    .pointwise = true,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{1, 2, 2}; {2, 1, 2} -> bool{false, true, true}",
                 "i64{{1}, {2}}; i64{1, 2} -> bool{{true, false}, {true, true}}"},
});

}  // namespace tessera
