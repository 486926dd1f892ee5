#include <cmath>

#include "ops/reduce.h"

namespace tessera {
namespace {

template <class T>
struct LogSum : SumReduction<T> {
  static Compute<T> finish(SumOf<T> a, std::int64_t) {
    return to_element<Compute<T>>(std::log(static_cast<double>(a)));
  }
};

void kernel(const KernelContext& k) { reduce<Summable, LogSum>(k); }

std::vector<ValueId> gradient(GradContext& g) {
  // dx = dy / sum
  const ValueId ratio = g.node("Div", {with_reduced_axes(g, g.dout(0)), reduce_alike(g, "ReduceSum", g.in(0))});
  return {expanded_like(g, ratio, g.in(0))};
}

}  // namespace

extern constinit const OpDef op_reduce_log_sum = define(reduction({
    .name = "ReduceLogSum",
    .since = 18,
    .doc = "The logarithm of the sum of the elements along axes; -inf over an empty set.",
    .source = "ONNX ReduceLogSum-18",
    .types = {{"T", dtypes::summable}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{18, axes_to_input}},
    .examples = {"{{1, 2}, {3, 4}}; i64{1} -> {{1.0986123}, {1.9459101}}", "{{1, 2}, {3, 4}}; keepdims=0 -> 2.3025851",
                 "{1, 4}; noop_with_empty_axes=1 -> {0, 1.3862944}"},
}));

}  // namespace tessera
