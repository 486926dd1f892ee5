#include "ops/sum_inputs.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  sum_inputs(k, [](auto sum) { return sum; });
}

std::vector<ValueId> gradient(GradContext& g) {
  return std::vector<ValueId>(static_cast<std::size_t>(g.inputs()), g.dout(0));
}

}  // namespace

extern constinit const OpDef op_sum = define({
    .name = "Sum",
    .since = 13,
    .doc = "The sum of the inputs, elementwise with broadcasting, added from the first to the last.",
    .source = "ONNX Sum-13",
    .inputs = {{"data_0", "T", "broadcast with each other", Presence::variadic}},
    .outputs = {{"sum", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::floats}},
    .shape = broadcast_all,
    .identity_when = has_one_input,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1, 5}; {3, 2} -> {4, 7}",
                 "{1, 2}; {{10}, {20}}; 100; {0.5, -0.5} -> {{111.5, 111.5}, {121.5, 121.5}}", "{1, nan} -> {1, nan}",
                 "{inf, 1}; {-inf, 1} -> {nan, 2}"},
});

}  // namespace tessera
