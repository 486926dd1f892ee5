#include "ops/reduce.h"

namespace tessera {
namespace {

template <class T>
struct L1 : SumReduction<T> {
  using Acc = SumOf<T>;
  static Acc step(Acc a, Compute<T> x) { return wrapping_add(a, wrapping_abs(static_cast<Acc>(x))); }
};

void kernel(const KernelContext& k) { reduce<Summable, L1>(k); }

std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), dy = with_reduced_axes(g, g.dout(0));
  return {g.node("Mul", {dy, g.node("Sign", {x})})};
}

}  // namespace

extern constinit const OpDef op_reduce_l1 = define(reduction({
    .name = "ReduceL1",
    .since = 18,
    .doc = "The sum of the absolute values of the elements along axes; 0 over an empty set.",
    .source = "ONNX ReduceL1-18",
    .types = {{"T", dtypes::summable}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{18, axes_to_input}},
    .examples = {"{{1, -2}, {3, 4}}; i64{1} -> {{3}, {7}}", "{{1, -2}, {3, 4}}; keepdims=0 -> 10",
                 "{1, -2}; noop_with_empty_axes=1 -> {1, 2}"},
}));

}  // namespace tessera
