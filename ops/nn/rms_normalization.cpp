#include "ops/normalize.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  c.axis();
  check(broadcasts_to(c.in(1), c.in(0)), "scale ", c.in(1), " does not broadcast to X ", c.in(0));
  c.out(0, c.in(0));
}

template <class T, class S>
void normalize(const KernelContext& k, int axis) {
  const Shape& s = k.in(0).shape();
  const std::int64_t n = count(std::span(s).subspan(static_cast<std::size_t>(axis))), rows = n ? k.in(0).size() / n : 0;
  const double epsilon = k.attr.real("epsilon");
  const T* x = k.in(0).read<T>().data();
  // Y has the type of scale (V); X may be narrower or wider.
  S* y = k.out(0).write<S>().data();
  const RowOperand<S> scale(&k.in(1), s, axis);
  run_parallel(rows, row_grain(n), [&](std::int64_t begin, std::int64_t end) {
    const Scratch<S> scale_row(scale.whole() ? 0 : n);
    for (std::int64_t row = begin; row < end; ++row) {
      const T* from = x + row * n;
      const double square = sum_of(from, n, [](auto v) { return v * v; }) / static_cast<double>(n);
      const auto inverse = static_cast<Compute<T>>(1 / std::sqrt(square + epsilon));
      const S* by = scale.at(row, scale_row.data());
      S* to = y + row * n;
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i)
        to[i] = static_cast<S>(static_cast<Compute<S>>(static_cast<Compute<T>>(from[i]) * inverse) *
                               static_cast<Compute<S>>(by[i]));
    }
  });
}

void kernel(const KernelContext& k) {
  const int axis = k.axis();
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    with_type(Floats{}, k.in(1).dtype(), [&]<class S>(Type<S>) { normalize<T, S>(k, axis); });
  });
}

// With r = sqrt(mean(x^2) + epsilon), xhat = x / r and g = dy * scale: dx = (g - xhat * mean(g * xhat)) / r.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.widened(g.in(0)), scale = g.widened(g.in(1)), dy = g.widened(g.dout(0));
  check(g.dtype(x) == g.dtype(scale), Code::unsupported, "the gradient needs X and scale both in f64, or none");
  const int rank = g.shape(x)->rank();
  std::vector<std::int64_t> axes;
  for (int a = normal_axis(g.attr().integer("axis"), rank); a < rank; ++a) axes.push_back(a);
  const auto mean = [&](ValueId v) { return g.node("ReduceMean", {v, g.ints(axes)}); };
  const ValueId root = g.node(
      "Sqrt", {g.node("Add", {mean(g.node("Mul", {x, x})), g.scalar_like(x, double(g.attr().real("epsilon")))})});
  const ValueId normal = g.node("Div", {x, root});
  const ValueId scaled = g.node("Mul", {dy, scale});
  const ValueId along = g.node("Mul", {normal, mean(g.node("Mul", {scaled, normal}))});
  return {g.node("Div", {g.node("Sub", {scaled, along}), root}), g.node("Mul", {dy, normal})};
}

}  // namespace

extern constinit const OpDef op_rms_normalization = define({
    .name = "RMSNormalization",
    .since = 23,
    .introduced = 23,
    .doc = "Y = X / sqrt(mean(X^2) + epsilon) * scale, the mean over the axes from `axis` on.",
    .source = "ONNX RMSNormalization-23; Zhang & Sennrich 2019, arXiv:1910.07467",
    .inputs = {{"X", "T", "any shape of rank >= 1"}, {"scale", "V", "broadcasts to X"}},
    .outputs = {{"Y", "V", "shape of X"}},
    .attributes = {{"axis", AttributeType::integer, -1, "first normalised axis"},
                   {"epsilon", AttributeType::real, 1e-5f, "added to the mean square"},
                   {"stash_type", AttributeType::integer, 1, "type of the statistics; they are f32 or wider here"}},
    .types = {{"T", dtypes::floats}, {"V", dtypes::floats}},
    .shape = shape,
    .in_place = {{0, 0}},
    .flops = [](const ShapeContext& c) { return 4.0 * static_cast<double>(count(c.in(0))); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{3, 3}, {1, 7}}; {1, 2}; epsilon=0 -> {{1, 2}, {0.2, 2.8}}",
                 "{{3, 3}, {1, 7}}; {2}; axis=0; epsilon=8 -> {{1.2, 1.2}, {0.4, 2.8}}"},
});

}  // namespace tessera
