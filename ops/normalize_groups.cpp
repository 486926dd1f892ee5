#include "ops/normalize_groups.h"

#include "ops/normalize.h"
#include "runtime/op/reshaped.h"

namespace tessera {

void channels_normalized(ShapeContext& c) {
  for (const int i : {1, 2})
    check(c.in(i) == Shape{c.in(0)[1]}, c.op.inputs[i].name, " must be [", c.in(0)[1], "], got ", c.in(i));
  c.out(0, c.in(0));
}

void normalize_groups(const KernelContext& k, std::int64_t groups) {
  const Shape& s = k.in(0).shape();
  const std::int64_t inner = count(std::span(s).subspan(2)), per_group = s[1] / groups, n = per_group * inner;
  const double epsilon = k.attr.real("epsilon");
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T *x = k.in(0).read<T>().data(), *scale = k.in(1).read<T>().data(), *bias = k.in(2).read<T>().data();
    T* y = k.out(0).write<T>().data();
    run_parallel(n ? s[0] * groups : 0, row_grain(n), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const auto m = moments(x + row * n, n);
        const double inverse = 1 / std::sqrt(m.variance + epsilon);
        for (std::int64_t c = 0; c < per_group; ++c) {
          using C = Compute<T>;
          const std::int64_t channel = row % groups * per_group + c, at = row * n + c * inner;
          const C by = static_cast<C>(inverse) * static_cast<C>(scale[channel]);
          const C mean = static_cast<C>(m.mean), shift = static_cast<C>(bias[channel]);
#pragma omp simd
          for (std::int64_t i = at; i < at + inner; ++i)
            y[i] = static_cast<T>((static_cast<C>(x[i]) - mean) * by + shift);
        }
      }
    });
  });
}

// X as [N x G x (C/G * inner)]: the statistics are those of LayerNormalization over the last axis.
std::vector<ValueId> normalize_groups_gradient(GradContext& g, std::int64_t groups) {
  const ValueId x = g.in(0), dy = g.widened(g.dout(0));
  const Shape s = *g.shape(x);
  std::vector<std::int64_t> channel(s.size() - 1, 1), others{0};
  channel[0] = s[1];
  for (int a = 2; a < s.rank(); ++a) others.push_back(a);
  const Shape grouped{s[0], groups, count(std::span(s).subspan(1)) / groups};
  const auto group = [&](ValueId v) { return reshaped(g, v, grouped); };
  const auto ungroup = [&](ValueId v) { return reshaped(g, v, s); };
  Standardized x_hat(g, group(x), {2});
  const ValueId scaled = group(g.node("Mul", {dy, reshaped(g, g.widened(g.in(1)), channel)}));
  const auto per_channel = [&](ValueId v) {
    return g.node("ReduceSum", {v, g.ints(others)}, {{"keepdims", std::int64_t{0}}});
  };
  return {ungroup(x_hat.back(scaled)), per_channel(g.node("Mul", {dy, ungroup(x_hat.normal)})), per_channel(g.dout(0))};
}

double normalize_groups_flops(const ShapeContext& c) { return 8.0 * static_cast<double>(count(c.in(0))); }

}  // namespace tessera
