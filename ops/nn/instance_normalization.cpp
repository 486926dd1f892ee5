#include "ops/normalize.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check(c.rank(0) >= 3, "input must be [N x C x D1 x ...], got ", c.in(0));
  for (const int i : {1, 2})
    check(c.in(i) == Shape{c.in(0)[1]}, c.op.inputs[i].name, " must be [", c.in(0)[1], "], got ", c.in(i));
  c.out(0, c.in(0));
}

void kernel(const KernelContext& k) {
  const Shape& s = k.in(0).shape();
  const std::int64_t channels = s[1], n = count(std::span(s).subspan(2));
  const double epsilon = k.attr.real("epsilon");
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T *x = k.in(0).read<T>().data(), *scale = k.in(1).read<T>().data(), *bias = k.in(2).read<T>().data();
    T* y = k.out(0).write<T>().data();
    run_parallel(n ? s[0] * channels : 0, row_grain(n), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const auto m = moments(x + row * n, n);
        using C = Compute<T>;
        const C mean = static_cast<C>(m.mean), shift = static_cast<C>(bias[row % channels]);
        const C by = static_cast<C>(1 / std::sqrt(m.variance + epsilon)) * static_cast<C>(scale[row % channels]);
#pragma omp simd
        for (std::int64_t i = row * n; i < (row + 1) * n; ++i)
          y[i] = static_cast<T>((static_cast<C>(x[i]) - mean) * by + shift);
      }
    });
  });
}

// As LayerNormalization over the spatial axes, with scale and bias along axis 1.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0);
  const Shape s = *g.shape(x);
  std::vector<std::int64_t> channel(s.size() - 1, 1), axes, others{0};
  channel[0] = s[1];
  for (int a = 2; a < s.rank(); ++a) axes.push_back(a), others.push_back(a);
  Standardized x_hat(g, x, std::move(axes));
  const ValueId scaled = g.node("Mul", {g.dout(0), reshaped(g, g.in(1), channel)});
  const auto per_channel = [&](ValueId v) {
    return g.node("ReduceSum", {v, g.ints(others)}, {{"keepdims", std::int64_t{0}}});
  };
  return {x_hat.back(scaled), per_channel(g.node("Mul", {g.dout(0), x_hat.normal})), per_channel(g.dout(0))};
}

}  // namespace

extern constinit const OpDef op_instance_normalization = define({
    .name = "InstanceNormalization",
    .since = 22,
    .doc = "output = scale * (input - mean) / sqrt(variance + epsilon) + B, statistics per instance and channel.",
    .source = "ONNX InstanceNormalization-22; Ulyanov et al. 2016, arXiv:1607.08022",
    .inputs = {{"input", "T", "[N x C x D1 x ...]"}, {"scale", "T", "[C]"}, {"B", "T", "[C]"}},
    .outputs = {{"output", "T", "shape of input"}},
    .attributes = {{"epsilon", AttributeType::real, 1e-5f, "added to the variance"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .in_place = {{0, 0}},
    .flops = [](const ShapeContext& c) { return 8.0 * static_cast<double>(count(c.in(0))); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{1, 3}, {2, 6}}}; {1, 2}; {0, 1}; epsilon=0 -> {{{-1, 1}, {-1, 3}}}"},
});

}  // namespace tessera
