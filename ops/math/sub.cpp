#include "ops/broadcast_axis.h"
#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map2<Numeric>(k, [](auto a, auto b) { return wrapping_sub(a, b); });
}

std::vector<ValueId> gradient(GradContext& g) {
  return {g.dout(0), g.needs(1) ? g.node("Neg", {g.dout(0)}) : ValueId::none};
}

}  // namespace

extern constinit const OpDef op_sub = define({
    .name = "Sub",
    .since = 14,
    .doc = "C = A - B, elementwise with broadcasting. Integers wrap.",
    .source = "ONNX Sub-14",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "broadcasts with A"}},
    .outputs = {{"C", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::numeric}},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{7, broadcast_from_axis}},
    .examples = {"{1, 2}; {10, 20} -> {-9, -18}", "{{1}, {2}}; {10, 20} -> {{-9, -19}, {-8, -18}}",
                 "u8{0}; u8{1} -> u8{255}"},
});

}  // namespace tessera
