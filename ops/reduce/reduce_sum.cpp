#include "ops/reduce.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) { reduce<Summable, SumReduction>(k); }

std::vector<ValueId> gradient(GradContext& g) { return {expanded_like(g, with_reduced_axes(g, g.dout(0)), g.in(0))}; }

}  // namespace

extern constinit const OpDef op_reduce_sum = define(reduction({
    .name = "ReduceSum",
    .since = 13,
    .doc = "The sum of the elements along axes; 0 over an empty set. Floats are summed in f64.",
    .source = "ONNX ReduceSum-13",
    .types = {{"T", dtypes::summable}},
    .identity_when = reduces_nothing,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{13, axes_to_input}},
    .examples = {"{{1, 2}, {3, 4}}; i64{1} -> {{3}, {7}}", "{{1, 2}, {3, 4}}; i64{-2}; keepdims=0 -> {4, 6}",
                 "{{1, 2}, {3, 4}} -> {{10}}", "{1, 2}; i64[0]{}; noop_with_empty_axes=1 -> {1, 2}",
                 "f32[2x0]{}; i64{1}; keepdims=0 -> {0, 0}", "i32{2147483647, 1}; keepdims=0 -> i32 -2147483648"},
}));

}  // namespace tessera
