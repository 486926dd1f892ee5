#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  fold_inputs<Numeric>(k, [](auto a, auto b) { return b < a || b != b ? b : a; });  // NaN wins
}

std::vector<ValueId> gradient(GradContext& g) { return gradient_to_first_equal(g); }

}  // namespace

extern constinit const OpDef op_min = define({
    .name = "Min",
    .since = 13,
    .doc = "The smallest of the inputs, elementwise with broadcasting; NaN if one is NaN. The gradient goes to the "
           "first input that is the smallest.",
    .source = "ONNX Min-13",
    .inputs = {{"data_0", "T", "broadcast with each other", Presence::variadic}},
    .outputs = {{"min", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::numeric}},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1, 5}; {3, 2} -> {1, 2}", "{{1}, {4}}; {2, 3}; 2.5 -> {{1, 1}, {2, 2.5}}", "{1, 2} -> {1, 2}",
                 "i8{-1, 2}; i8{0, 1} -> i8{-1, 1}"},
});

}  // namespace tessera
