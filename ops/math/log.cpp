#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) { return vector_math::log(x); });
}

std::vector<ValueId> gradient(GradContext& g) { return {g.node("Div", {g.dout(0), g.in(0)})}; }

}  // namespace

extern constinit const OpDef op_log = define({
    .name = "Log",
    .since = 13,
    .doc = "Y = the natural logarithm of X, elementwise; -inf at 0, NaN below. f32 results are rounded from f64.",
    .source = "ONNX Log-13",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1, 2.7182818, 10} -> {0, 1, 2.3025851}"},
});

}  // namespace tessera
