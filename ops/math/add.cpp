#include "ops/broadcast_axis.h"
#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map2<Numeric>(k, [](auto a, auto b) { return wrapping_add(a, b); });
}

std::vector<ValueId> gradient(GradContext& g) { return {g.dout(0), g.dout(0)}; }

}  // namespace

extern constinit const OpDef op_add = define({
    .name = "Add",
    .since = 14,
    .doc = "C = A + B, elementwise with broadcasting. Integers wrap.",
    .source = "ONNX Add-14",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "broadcasts with A"}},
    .outputs = {{"C", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::numeric}},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{7, broadcast_from_axis}},
    .examples = {"{1, 2}; {10, 20} -> {11, 22}", "{{1}, {2}}; {10, 20} -> {{11, 21}, {12, 22}}",
                 "i8{127}; i8{1} -> i8{-128}"},
});

}  // namespace tessera
