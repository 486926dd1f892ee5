#include <cmath>

#include "ops/reduce.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

// The largest element so far, and the sum of e^(element - largest).
template <class T>
struct LogSumExp {
  using C = std::conditional_t<std::is_integral_v<T>, double, Compute<T>>;
  struct Acc {
    C largest;
    double sum;
  };
  static Acc start() { return {-std::numeric_limits<C>::infinity(), 0}; }
  static Acc step(Acc a, Compute<T> x) { return merge(a, {static_cast<C>(x), 1}); }
  static Acc merge(Acc a, Acc b) {
    const C largest = b.largest > a.largest || b.largest != b.largest ? b.largest : a.largest;
    const C shift = finite(largest);
    const auto scaled = [shift](Acc p) { return p.sum * static_cast<double>(vector_math::exp(p.largest - shift)); };
    return {largest, scaled(a) + scaled(b)};
  }
  static Compute<T> finish(Acc a, std::int64_t) {
    return to_element<Compute<T>>(std::log(a.sum) + static_cast<double>(finite(a.largest)));
  }
  // An infinity is not subtracted: inf - inf would be NaN.
  static C finite(C x) { return std::abs(x) == std::numeric_limits<C>::infinity() ? C{0} : x; }
};

void kernel(const KernelContext& k) { reduce<Summable, LogSumExp>(k); }

std::vector<ValueId> gradient(GradContext& g) {
  // dx = dy e^(x - y)
  const ValueId x = g.in(0), y = with_reduced_axes(g, g.out(0));
  const ValueId share = g.node("Exp", {g.node("Sub", {x, y})});
  return {g.node("Mul", {with_reduced_axes(g, g.dout(0)), share})};
}

}  // namespace

extern constinit const OpDef op_reduce_log_sum_exp = define(reduction({
    .name = "ReduceLogSumExp",
    .since = 18,
    .doc = "The logarithm of the sum of e^element along axes, without overflow; -inf over an empty set.",
    .source = "ONNX ReduceLogSumExp-18",
    .types = {{"T", dtypes::summable}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{18, axes_to_input}},
    .examples = {"{{1, 2}, {3, 4}}; i64{1} -> {{2.3132617}, {4.3132617}}",
                 "{{1, 2}, {3, 4}}; i64{0}; keepdims=0 -> {3.126928, 4.126928}",
                 "{1000, 1000}; keepdims=0 -> 1000.6931",
                 "{{-inf, -inf}, {inf, 1}}; i64{1}; keepdims=0 -> {-inf, inf}"},
}));

}  // namespace tessera
