#include "ops/broadcast_axis.h"
#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map2<AllTypes, bool>(k, [](auto a, auto b) { return a == b; });
}

}  // namespace

extern constinit const OpDef op_equal = define({
    .name = "Equal",
    .since = 19,
    .doc = "C = A equals B, elementwise with broadcasting. NaN equals nothing.",
    .source = "ONNX Equal-19",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "broadcasts with A"}},
    .outputs = {{"C", "bool", "the broadcast shape"}},
    .types = {{"T", dtypes::all}},
    .shape = broadcast_all,
    .pointwise = true,
    .kernel = kernel,
    .gradient = no_gradient,
    .adapt = {{7, broadcast_from_axis}},
    .examples = {"{1, 2, nan}; {1, 3, nan} -> bool{true, false, false}",
                 "bool{true, false}; bool{true, true} -> bool{true, false}",
                 "i64{{1}, {2}}; i64{1, 2} -> bool{{true, false}, {false, true}}"},
});

}  // namespace tessera
