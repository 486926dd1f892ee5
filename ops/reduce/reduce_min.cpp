#include <limits>

#include "ops/reduce.h"

namespace tessera {
namespace {

template <class T>
struct Min {
  using Acc = Compute<T>;
  static Acc start() {
    using Limits = std::numeric_limits<Acc>;
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
  static Acc step(Acc a, Acc x) { return x < a || x != x ? x : a; }
  static Acc merge(Acc a, Acc b) { return step(a, b); }
  static Acc finish(Acc a, std::int64_t) { return a; }
};

void kernel(const KernelContext& k) { reduce<AllTypes, Min>(k); }

}  // namespace

extern constinit const OpDef op_reduce_min = define(reduction({
    .name = "ReduceMin",
    .since = 20,
    .doc = "The smallest of the elements along axes, NaN if one is NaN; over an empty set inf or the greatest value of "
           "the type. The gradient is shared evenly by equal smallest elements.",
    .source = "ONNX ReduceMin-20",
    .types = {{"T", dtypes::all}},
    .identity_when = reduces_nothing,
    .kernel = kernel,
    .gradient = gradient_to_extremes,
    .adapt = {{18, axes_to_input}},
    .examples = {"{{1, 5}, {3, 2}}; i64{1} -> {{1}, {2}}", "{{1, 5}, {3, 2}}; i64{0}; keepdims=0 -> {1, 2}",
                 "{{1, 5}, {3, 2}}; keepdims=0 -> 1", "f32[2x0]{}; i64{1}; keepdims=0 -> {inf, inf}",
                 "bool{{true, false}, {true, true}}; i64{1}; keepdims=0 -> bool{false, true}"},
}));

}  // namespace tessera
