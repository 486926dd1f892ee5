#include "ops/softmax.h"
#include "ops/sum_in_parts.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

// The maximum is subtracted first, so that no exponent overflows (Goodfellow et al., Deep Learning, section 4.1). A
// slice of -inf only gives NaN, as the specification's formula does.
void kernel(const KernelContext& k) {
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    for_each_slice<T>(k.in(0), k.out(0), k.axis(), [](const T* x, T* y, std::int64_t n) {
      using C = Compute<T>;
      const C top = peak(x, n);
      const Scratch<C> e(std::is_same_v<T, C> ? 0 : n);
      C* to;
      if constexpr (std::is_same_v<T, C>)
        to = y;
      else
        to = e.data();
      const double sum =
          sum_in_parts<C>(n, [=](std::int64_t i) { return to[i] = vector_math::exp(static_cast<C>(x[i]) - top); });
      const C inverse = static_cast<C>(1 / sum);
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(to[i] * inverse);
    });
  });
}

// dx = (dy - sum(dy * y, axis)) * y
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId y = g.out(0), dy = g.dout(0);
  const ValueId dot = g.node("ReduceSum", {g.node("Mul", {dy, y}), g.ints({g.attr().integer("axis")})});
  return {g.node("Mul", {g.node("Sub", {dy, dot}), y})};
}

}  // namespace

extern constinit const OpDef op_softmax = define({
    .name = "Softmax",
    .since = 13,
    .doc = "output = exp(input) / sum(exp(input), axis): each slice along axis becomes a distribution.",
    .source = "ONNX Softmax-13; Bridle 1990",
    .inputs = {{"input", "T", "rank >= 1"}},
    .outputs = {{"output", "T", "shape of input"}},
    .attributes = {{"axis", AttributeType::integer, -1, "the axis to normalise"}},
    .types = {{"T", dtypes::floats}},
    .shape = slices_along_axis,
    .in_place = {{0, 0}},
    .flops = [](const ShapeContext& c) { return 5.0 * static_cast<double>(count(c.in(0))); },
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{13, [](RewriteContext& c) { rows_of_matrix(c, "Softmax"); }}},
    .examples = {"{0, 0} -> {0.5, 0.5}", "{1000, 1000} -> {0.5, 0.5}",
                 "{{0, 1.0986123}, {0, 0}}; axis=0 -> {{0.5, 0.75}, {0.5, 0.25}}", "{-inf, 0} -> {0, 1}"},
});

}  // namespace tessera
