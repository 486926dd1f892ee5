#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map2<Ints>(k, [](auto a, auto b) { return a | b; });
}

}  // namespace

extern constinit const OpDef op_bitwise_or = define({
    .name = "BitwiseOr",
    .since = 18,
    .introduced = 18,
    .doc = "C = A or B, bit by bit, elementwise with broadcasting.",
    .source = "ONNX BitwiseOr-18",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "broadcasts with A"}},
    .outputs = {{"C", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::ints}},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"i8{12, -1, -128}; i8{10, 7, 127} -> i8{14, -1, -1}",
                 "u64{6, 18446744073709551615}; u64{3, 9223372036854775808} -> u64{7, 18446744073709551615}",
                 "i32{{12}, {5}}; i32{10, 3} -> i32{{14, 15}, {15, 7}}"},
});

}  // namespace tessera
