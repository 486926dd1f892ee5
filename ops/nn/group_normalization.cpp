#include "ops/normalize.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const std::int64_t groups = c.attr.integer("num_groups");
  check(c.rank(0) >= 2, "X must be [N x C x D1 x ...], got ", c.in(0));
  const std::int64_t channels = c.in(0)[1];
  check(groups > 0 && channels % groups == 0, "num_groups ", groups, " does not divide ", channels, " channels");
  for (const int i : {1, 2})
    check(c.in(i) == Shape{channels}, c.op.inputs[i].name, " must be [", channels, "], got ", c.in(i));
  c.out(0, c.in(0));
}

void kernel(const KernelContext& k) {
  const Shape& s = k.in(0).shape();
  const std::int64_t channels = s[1], groups = k.attr.integer("num_groups"), inner = count(std::span(s).subspan(2));
  const std::int64_t per_group = channels / groups, n = per_group * inner;
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
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0);
  const Shape s = *g.shape(x);
  const std::int64_t groups = g.attr().integer("num_groups");
  std::vector<std::int64_t> channel(s.size() - 1, 1), others{0};
  channel[0] = s[1];
  for (int a = 2; a < s.rank(); ++a) others.push_back(a);
  const Shape grouped{s[0], groups, count(std::span(s).subspan(1)) / groups};
  const auto group = [&](ValueId v) { return reshaped(g, v, grouped); };
  const auto ungroup = [&](ValueId v) { return reshaped(g, v, s); };
  Standardized x_hat(g, group(x), {2});
  const ValueId scaled = group(g.node("Mul", {g.dout(0), reshaped(g, g.in(1), channel)}));
  const auto per_channel = [&](ValueId v) {
    return g.node("ReduceSum", {v, g.ints(others)}, {{"keepdims", std::int64_t{0}}});
  };
  return {ungroup(x_hat.back(scaled)), per_channel(g.node("Mul", {g.dout(0), ungroup(x_hat.normal)})),
          per_channel(g.dout(0))};
}

// Before 21, scale and bias were given per group; now per channel: repeat each C / num_groups times.
void per_channel(RewriteContext& c) {
  check(c.in.size() == 3, "needs inputs X, scale and bias");
  const auto groups = c.attributes.find("num_groups");
  check(groups != c.attributes.end(), "needs attribute 'num_groups'");
  auto& b = c.build;
  const ValueId number = b.ints({std::get<std::int64_t>(groups->second)});
  const ValueId channels = b.node("Gather", {b.node("Shape", {c.in[0]}), b.ints({1})});
  const ValueId table = b.node("Concat", {number, b.node("Div", {channels, number})}, {{"axis", std::int64_t{0}}});
  for (const std::size_t i : {1, 2}) {
    const ValueId column = b.node("Reshape", {c.in[i], b.ints({-1, 1})});
    c.in[i] = b.node("Reshape", {b.node("Expand", {column, table}), b.ints({-1})});
  }
}

}  // namespace

extern constinit const OpDef op_group_normalization = define({
    .name = "GroupNormalization",
    .since = 21,
    .introduced = 18,
    .doc = "Y = scale * (X - mean) / sqrt(variance + epsilon) + bias, statistics per instance and group of channels.",
    .source = "ONNX GroupNormalization-21; Wu & He 2018, arXiv:1803.08494",
    .inputs = {{"X", "T", "[N x C x D1 x ...]"}, {"scale", "T", "[C]"}, {"bias", "T", "[C]"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"num_groups", AttributeType::integer, required, "divides C"},
                   {"epsilon", AttributeType::real, 1e-5f, "added to the variance"},
                   {"stash_type", AttributeType::integer, 1, "type of the statistics; they are f32 or wider here"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .in_place = {{0, 0}},
    .flops = [](const ShapeContext& c) { return 8.0 * static_cast<double>(count(c.in(0))); },
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{21, per_channel}},
    .examples = {"{{{1, 1}, {3, 3}, {2, 6}, {2, 6}}}; {1, 1, 1, 2}; {0, 0, 1, 0}; num_groups=2; epsilon=0 -> "
                 "{{{-1, -1}, {1, 1}, {0, 2}, {-2, 2}}}"},
});

}  // namespace tessera
