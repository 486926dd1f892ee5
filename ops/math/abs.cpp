#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Numeric>(k, [](auto x) { return wrapping_abs(x); });
}

std::vector<ValueId> gradient(GradContext& g) {
  // At x = 0 we take the subgradient 0.
  return {g.node("Mul", {g.dout(0), g.node("Sign", {g.in(0)})})};
}

}  // namespace

extern constinit const OpDef op_abs = define({
    .name = "Abs",
    .since = 13,
    .doc = "Y = |X|, elementwise. The smallest integer wraps to itself.",
    .source = "ONNX Abs-13",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::numeric}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1.5, 0, 2} -> {1.5, 0, 2}", "i8{-128, -3, 3} -> i8{-128, 3, 3}"},
});

}  // namespace tessera
