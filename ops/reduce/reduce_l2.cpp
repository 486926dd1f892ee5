#include <cmath>

#include "ops/reduce.h"

namespace tessera {
namespace {

template <class T>
struct L2 {
  using Acc = double;
  static Acc start() { return 0; }
  static Acc step(Acc a, Compute<T> x) { return a + static_cast<Acc>(x) * static_cast<Acc>(x); }
  static Acc merge(Acc a, Acc b) { return a + b; }
  static Compute<T> finish(Acc a, std::int64_t) { return to_element<Compute<T>>(std::sqrt(a)); }
};

void kernel(const KernelContext& k) { reduce<Summable, L2>(k); }

std::vector<ValueId> gradient(GradContext& g) {
  // dx = dy x / y
  const ValueId x = g.in(0), y = with_reduced_axes(g, g.out(0)), zero = g.scalar_like(x, 0);
  const ValueId ratio = g.node("Div", {with_reduced_axes(g, g.dout(0)), y});
  return {g.node("Mul", {x, g.node("Where", {g.node("Equal", {y, zero}), zero, ratio})})};
}

}  // namespace

extern constinit const OpDef op_reduce_l2 = define(reduction({
    .name = "ReduceL2",
    .since = 18,
    .doc = "The Euclidean norm of the elements along axes; 0 over an empty set. The gradient at 0 is 0.",
    .source = "ONNX ReduceL2-18",
    .types = {{"T", dtypes::summable}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{18, axes_to_input}},
    .examples = {"{{3, 4}, {6, 8}}; i64{1} -> {{5}, {10}}", "{{3, 4}, {4, 3}}; i64{0}; keepdims=0 -> {5, 5}",
                 "{{1, 1}, {1, 1}}; keepdims=0 -> 2", "i32{3, 4}; keepdims=0 -> i32 5"},
}));

}  // namespace tessera
