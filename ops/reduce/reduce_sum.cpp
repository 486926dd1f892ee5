#include "ops/reduce.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) { reduce<Summable, SumReduction>(k); }

std::vector<ValueId> gradient(GradContext& g) { return {expanded_like(g, with_reduced_axes(g, g.dout(0)), g.in(0))}; }

}  // namespace

extern constinit const OpDef op_reduce_sum = define({
    .name = "ReduceSum",
    .since = 13,
    .doc = "The sum of the elements along axes; 0 over an empty set. Floats are summed in f64.",
    .source = "ONNX ReduceSum-13",
    .inputs = {{"data", "T", "any shape"},
               {"axes", "i64", "[n], each in [-rank, rank); absent or empty: all axes", Presence::optional}},
    .outputs = {{"reduced", "T", "data's shape, with 1 for (or without) each axis of axes"}},
    .attributes = {{"keepdims", AttributeType::integer, 1, "0: reduced axes are dropped"},
                   {"noop_with_empty_axes", AttributeType::integer, 0, "1: absent or empty axes reduce none"}},
    .types = {{"T", dtypes::summable}},
    .shape_reads = {1},
    .shape = reduced_shape,
    .identity_when = reduces_nothing,
    .flops = reduction_flops,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{13, axes_to_input}},
    .examples = {"{{1, 2}, {3, 4}}; i64{1} -> {{3}, {7}}", "{{1, 2}, {3, 4}}; i64{-2}; keepdims=0 -> {4, 6}",
                 "{{1, 2}, {3, 4}} -> {{10}}", "{1, 2}; i64[0]{}; noop_with_empty_axes=1 -> {1, 2}",
                 "f32[2x0]{}; i64{1}; keepdims=0 -> {0, 0}", "i32{2147483647, 1}; keepdims=0 -> i32 -2147483648"},
});

}  // namespace tessera
