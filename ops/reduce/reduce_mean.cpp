#include "ops/reduce.h"

namespace tessera {
namespace {

template <class T>
struct Mean : SumReduction<T> {
  using Acc = SumOf<T>;
  static Compute<T> finish(Acc a, std::int64_t n) {
    if constexpr (std::is_integral_v<T>)
      return n == 0 ? T{0} : static_cast<T>(a / static_cast<Acc>(n));
    else
      return static_cast<Compute<T>>(a / static_cast<double>(n));
  }
};

void kernel(const KernelContext& k) { reduce<Summable, Mean>(k); }

std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), dy = g.widened(with_reduced_axes(g, g.dout(0)));
  const ValueId share = g.node("Div", {dy, g.scalar_like(dy, reduced_count(g))});
  return {expanded_like(g, g.cast(share, g.dtype(x)), x)};
}

}  // namespace

extern constinit const OpDef op_reduce_mean = define(reduction({
    .name = "ReduceMean",
    .since = 18,
    .doc = "The mean of the elements along axes; NaN over an empty set of floats, 0 of integers. Integer means are "
           "truncated.",
    .source = "ONNX ReduceMean-18",
    .types = {{"T", dtypes::summable}},
    .identity_when = reduces_nothing,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{18, axes_to_input}},
    .examples = {"{{1, 2}, {3, 4}}; i64{1} -> {{1.5}, {3.5}}", "{{1, 2}, {3, 4}}; i64{0}; keepdims=0 -> {2, 3}",
                 "{{1, 2}, {3, 4}}; keepdims=0 -> 2.5",
                 "{{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}; i64{0, -1}; keepdims=0 -> {3.5, 5.5}",
                 "i64{1, 2}; keepdims=0 -> i64 1"},
}));

}  // namespace tessera
