#include <limits>

#include "ops/reduce.h"

namespace tessera {
namespace {

template <class T>
struct Max {
  using Acc = Compute<T>;
  static Acc start() {
    using Limits = std::numeric_limits<Acc>;
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  }
  static Acc step(Acc a, Acc x) { return x > a || x != x ? x : a; }
  static Acc merge(Acc a, Acc b) { return step(a, b); }
  static Acc finish(Acc a, std::int64_t) { return a; }
};

void kernel(const KernelContext& k) { reduce<AllTypes, Max>(k); }

}  // namespace

extern constinit const OpDef op_reduce_max = define(reduction({
    .name = "ReduceMax",
    .since = 20,
    .doc = "The largest of the elements along axes, NaN if one is NaN; over an empty set -inf or the least value of "
           "the type. The gradient is shared evenly by equal largest elements.",
    .source = "ONNX ReduceMax-20",
    .types = {{"T", dtypes::all}},
    .identity_when = reduces_nothing,
    .kernel = kernel,
    .gradient = gradient_to_extremes,
    .adapt = {{18, axes_to_input}},
    .examples = {"{{1, 5}, {3, 2}}; i64{1} -> {{5}, {3}}", "{{1, 5}, {3, 2}}; i64{0}; keepdims=0 -> {3, 5}",
                 "{{1, 5}, {3, 2}}; keepdims=0 -> 5", "f32[2x0]{}; i64{1}; keepdims=0 -> {-inf, -inf}",
                 "bool{{true, false}, {false, false}}; i64{1}; keepdims=0 -> bool{true, false}"},
}));

}  // namespace tessera
