#include "ops/broadcast_axis.h"
#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map2<Types<bool>>(k, [](auto a, auto b) { return a != b; });
}

}  // namespace

extern constinit const OpDef op_xor = define({
    .name = "Xor",
    .since = 7,
    .doc = "C = A xor B, elementwise with broadcasting.",
    .source = "ONNX Xor-7",
    .inputs = {{"A", "bool", "any shape"}, {"B", "bool", "broadcasts with A"}},
    .outputs = {{"C", "bool", "the broadcast shape"}},
    .types = {},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .adapt = {{7, broadcast_from_axis}},
    .examples = {"bool{false, false, true}; bool{false, true, true} -> bool{false, true, false}",
                 "bool{{true}, {false}}; bool{true, false} -> bool{{false, true}, {true, false}}"},
});

}  // namespace tessera
