#include "ops/broadcast_axis.h"
#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map2<Numeric, bool>(k, [](auto a, auto b) { return a < b; });
}

}  // namespace

extern constinit const OpDef op_less = define({
    .name = "Less",
    .since = 13,
    .doc = "C = A < B, elementwise with broadcasting. False where either is NaN.",
    .source = "ONNX Less-13",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "broadcasts with A"}},
    .outputs = {{"C", "bool", "the broadcast shape"}},
    .types = {{"T", dtypes::numeric}},
    .shape = broadcast_all,
    .pointwise = true,
    .kernel = kernel,
    .gradient = no_gradient,
    .adapt = {{7, broadcast_from_axis}},
    .examples = {"{1, 2}; {2, 1} -> bool{true, false}",
                 "i64{{1}, {2}}; i64{1, 2} -> bool{{false, true}, {false, false}}"},
});

}  // namespace tessera
