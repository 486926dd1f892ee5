#include "ops/softmax.h"
#include "ops/sum_in_parts.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    for_each_slice<T>(k.in(0), k.out(0), k.axis(), [](const T* x, T* y, std::int64_t n) {
      using C = Compute<T>;
      const C top = peak(x, n);
      const double sum =
          sum_in_parts<C>(n, [=](std::int64_t i) { return vector_math::exp(static_cast<C>(x[i]) - top); });
      const C total = vector_math::log(static_cast<C>(sum));
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<T>((static_cast<C>(x[i]) - top) - total);
    });
  });
}

// dx = dy - exp(y) * sum(dy, axis)
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId sum = g.node("ReduceSum", {g.dout(0), g.ints({g.attr().integer("axis")})});
  return {g.node("Sub", {g.dout(0), g.node("Mul", {g.node("Exp", {g.out(0)}), sum})})};
}

}  // namespace

extern constinit const OpDef op_log_softmax = define({
    .name = "LogSoftmax",
    .since = 13,
    .doc = "output = log(exp(input) / sum(exp(input), axis)), without leaving the logarithm.",
    .source = "ONNX LogSoftmax-13",
    .inputs = {{"input", "T", "rank >= 1"}},
    .outputs = {{"output", "T", "shape of input"}},
    .attributes = {{"axis", AttributeType::integer, -1, "the axis to normalise"}},
    .types = {{"T", dtypes::floats}},
    .shape = slices_along_axis,
    .in_place = {{0, 0}},
    .flops = [](const ShapeContext& c) { return 5.0 * static_cast<double>(count(c.in(0))); },
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{13, [](RewriteContext& c) { rows_of_matrix(c, "LogSoftmax"); }}},
    .examples = {"{0, 0} -> {-0.6931472, -0.6931472}", "{{1000}, {0}}; axis=0 -> {{0}, {-1000}}"},
});

}  // namespace tessera
