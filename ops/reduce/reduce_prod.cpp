#include "ops/reduce.h"

namespace tessera {
namespace {

template <class T>
struct Prod {
  using Acc = SumOf<T>;
  static Acc start() { return 1; }
  static Acc step(Acc a, Compute<T> x) { return wrapping_mul(a, static_cast<Acc>(x)); }
  static Acc merge(Acc a, Acc b) { return wrapping_mul(a, b); }
  static Compute<T> finish(Acc a, std::int64_t) { return static_cast<Compute<T>>(a); }
};

void kernel(const KernelContext& k) { reduce<Summable, Prod>(k); }

std::vector<ValueId> gradient(GradContext& g) {
  // dx = dy times the product of the others: that of all that are not 0, over x; 0 where another one is 0.
  const ValueId x = g.in(0), zero = g.scalar_like(x, 0), one = g.scalar_like(x, 1);
  const ValueId is_zero = g.node("Equal", {x, zero});
  const ValueId ones = g.node("Where", {is_zero, one, zero}), safe = g.node("Where", {is_zero, one, x});
  const ValueId other_zeros = g.node("Sub", {reduce_alike(g, "ReduceSum", ones), ones});
  const ValueId others = g.node("Div", {reduce_alike(g, "ReduceProd", safe), safe});
  const ValueId slope = g.node("Where", {g.node("Equal", {other_zeros, zero}), others, zero});
  return {g.node("Mul", {with_reduced_axes(g, g.dout(0)), slope})};
}

}  // namespace

extern constinit const OpDef op_reduce_prod = define(reduction({
    .name = "ReduceProd",
    .since = 18,
    .doc = "The product of the elements along axes; 1 over an empty set. Integers wrap.",
    .source = "ONNX ReduceProd-18",
    .types = {{"T", dtypes::summable}},
    .identity_when = reduces_nothing,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{18, axes_to_input}},
    .examples = {"{{1, 2}, {3, 4}}; i64{1} -> {{2}, {12}}", "{{0, 2}, {3, 0.5}}; i64{1}; keepdims=0 -> {0, 1.5}",
                 "{{0, 2}, {0, 4}}; i64{0}; keepdims=0 -> {0, 8}", "{{1, 2}, {3, 4}}; keepdims=0 -> 24",
                 "f32[2x0]{}; i64{1}; keepdims=0 -> {1, 1}"},
}));

}  // namespace tessera
