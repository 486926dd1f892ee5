#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Ints>(k, [](auto x) { return ~x; });
}

}  // namespace

extern constinit const OpDef op_bitwise_not = define({
    .name = "BitwiseNot",
    .since = 18,
    .introduced = 18,
    .doc = "Y = X with every bit turned over, elementwise.",
    .source = "ONNX BitwiseNot-18",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::ints}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"i32{0, -1, 5} -> i32{-1, 0, -6}", "u8{0, 255, 5} -> u8{255, 0, 250}"},
});

}  // namespace tessera
