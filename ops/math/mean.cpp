#include "ops/sum_inputs.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  const int n = k.inputs();
  sum_inputs(k, [n](auto sum) { return sum / static_cast<decltype(sum)>(n); });
}

std::vector<ValueId> gradient(GradContext& g) {
  const ValueId share = g.node("Div", {g.dout(0), g.scalar_like(g.dout(0), g.inputs())});
  return std::vector<ValueId>(static_cast<std::size_t>(g.inputs()), share);
}

}  // namespace

extern constinit const OpDef op_mean = define({
    .name = "Mean",
    .since = 13,
    .doc = "The mean of the inputs, elementwise with broadcasting.",
    .source = "ONNX Mean-13",
    .inputs = {{"data_0", "T", "broadcast with each other", Presence::variadic}},
    .outputs = {{"mean", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::floats}},
    .shape = broadcast_all,
    .identity_when = has_one_input,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1, 5}; {3, 2} -> {2, 3.5}", "{1, 2}; {{10}, {20}}; 100; {5, 4} -> {{29, 29}, {31.5, 31.5}}",
                 "{1, nan} -> {1, nan}"},
});

}  // namespace tessera
