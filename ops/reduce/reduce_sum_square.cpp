#include "ops/reduce.h"

namespace tessera {
namespace {

template <class T>
struct SumSquare : SumReduction<T> {
  using Acc = SumOf<T>;
  static Acc step(Acc a, Compute<T> x) {
    return wrapping_add(a, wrapping_mul(static_cast<Acc>(x), static_cast<Acc>(x)));
  }
};

void kernel(const KernelContext& k) { reduce<Summable, SumSquare>(k); }

std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), dy = with_reduced_axes(g, g.dout(0));
  return {g.node("Mul", {dy, g.node("Add", {x, x})})};
}

}  // namespace

extern constinit const OpDef op_reduce_sum_square = define(reduction({
    .name = "ReduceSumSquare",
    .since = 18,
    .doc = "The sum of the squares of the elements along axes; 0 over an empty set.",
    .source = "ONNX ReduceSumSquare-18",
    .types = {{"T", dtypes::summable}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{18, axes_to_input}},
    .examples = {"{{1, 2}, {3, 4}}; i64{1} -> {{5}, {25}}", "{{1, 2}, {3, 4}}; keepdims=0 -> 30",
                 "{1, -2}; noop_with_empty_axes=1 -> {1, 4}"},
}));

}  // namespace tessera
