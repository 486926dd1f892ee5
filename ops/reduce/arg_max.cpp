#include "ops/arg_reduce.h"

namespace tessera {
namespace {
void kernel(const KernelContext& k) {
  arg_reduce(k, [](auto x, auto best) { return x > best; });
}
}  // namespace

extern constinit const OpDef op_arg_max = define({
    .name = "ArgMax",
    .since = 13,
    .doc = "The index of the largest element along one axis; a NaN counts as the largest.",
    .source = "ONNX ArgMax-13",
    .inputs = {{"data", "T", "rank at least 1"}},
    .outputs = {{"reduced", "i64", "data's shape, with 1 for (or without) the axis"}},
    .attributes = {{"axis", AttributeType::integer, 0, "in [-rank, rank)"},
                   {"keepdims", AttributeType::integer, 1, "0: the axis is dropped"},
                   {"select_last_index", AttributeType::integer, 0, "1: of equal elements the last, not the first"}},
    .types = {{"T", dtypes::numeric}},
    .shape = arg_shape,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{{2, 1}, {3, 10}}; axis=1 -> i64{{0}, {1}}", "{{2, 1}, {3, 10}}; keepdims=0 -> i64{1, 1}",
                 "{1, 5, 5}; keepdims=0 -> i64 1", "{1, 5, 5}; keepdims=0; select_last_index=1 -> i64 2",
                 "{{1, 5, 5}}; axis=-1; select_last_index=1; keepdims=0 -> i64{2}", "{1, nan, 0}; keepdims=0 -> i64 1"},
});

}  // namespace tessera
