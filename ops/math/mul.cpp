#include "ops/broadcast_axis.h"
#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map2<Numeric>(k, [](auto a, auto b) { return wrapping_mul(a, b); });
}

std::vector<ValueId> gradient(GradContext& g) {
  return {g.needs(0) ? g.node("Mul", {g.dout(0), g.in(1)}) : ValueId::none,
          g.needs(1) ? g.node("Mul", {g.dout(0), g.in(0)}) : ValueId::none};
}

}  // namespace

extern constinit const OpDef op_mul = define({
    .name = "Mul",
    .since = 14,
    .doc = "C = A B, elementwise with broadcasting. Integers wrap.",
    .source = "ONNX Mul-14",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "broadcasts with A"}},
    .outputs = {{"C", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::numeric}},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{7, broadcast_from_axis}},
    .examples = {"{1, 2}; {10, 20} -> {10, 40}", "{{1}, {2}}; {10, 20} -> {{10, 20}, {20, 40}}",
                 "u16{65535}; u16{65535} -> u16{1}"},
});

}  // namespace tessera
