#include "ops/normalize.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape& x = c.in(0);
  const int axis = c.axis();
  for (const int i : {1, 2})
    if (c.has(i)) check(broadcasts_to(c.in(i), x), c.op.inputs[i].name, " ", c.in(i), " does not broadcast to X ", x);
  Shape statistics = x;
  for (int a = axis; a < x.rank(); ++a) statistics[static_cast<std::size_t>(a)] = 1;
  c.out(0, x);
  c.out(1, statistics);
  c.out(2, statistics);
}

void dtype(const AttributeReader& attr, std::span<const DType>, std::span<DType> out) {
  if (out.size() < 2) return;
  const DType stash = attr.dtype("stash_type");
  check(stash == DType::f32 || stash == DType::bf16, "stash_type is ", attr.integer("stash_type"),
        "; Mean and InvStdDev are f32 (1) or bf16 (16)");
  for (std::size_t i = 1; i < out.size(); ++i) out[i] = stash;
}

void store(const KernelContext& k, int i, std::int64_t at, double value) {
  if (!k.wants(i)) return;
  if (k.out(i).dtype() == DType::f32)
    k.out(i).write<float>()[static_cast<std::size_t>(at)] = static_cast<float>(value);
  else
    k.out(i).write<bf16>()[static_cast<std::size_t>(at)] = bf16(static_cast<float>(value));
}

void kernel(const KernelContext& k) {
  const int axis = k.axis();
  const Shape& s = k.in(0).shape();
  const std::int64_t rows = count(std::span(s).first(static_cast<std::size_t>(axis))),
                     n = count(std::span(s).subspan(static_cast<std::size_t>(axis)));  // 0: the moments are NaN
  const double epsilon = k.attr.real("epsilon");
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).read<T>().data();
    T* y = k.out(0).write<T>().data();
    const RowOperand<T> scale(k.has(1) ? &k.in(1) : nullptr, s, axis), bias(k.has(2) ? &k.in(2) : nullptr, s, axis);
    run_parallel(rows, row_grain(n), [&](std::int64_t begin, std::int64_t end) {
      const Scratch<T> scale_row(scale.whole() ? 0 : n), bias_row(bias.whole() ? 0 : n);
      for (std::int64_t row = begin; row < end; ++row) {
        const auto m = moments(x + row * n, n);
        const double inverse = 1 / std::sqrt(m.variance + epsilon);
        normalize_row(x + row * n, y + row * n, n, m.mean, inverse, scale.at(row, scale_row.data()),
                      bias.at(row, bias_row.data()));
        store(k, 1, row, m.mean);
        store(k, 2, row, inverse);
      }
    });
  });
}

// With xhat = (x - mean) / deviation: dxhat = dy * scale, dscale = dy * xhat, dbias = dy. Of the n elements of a row,
// dMean/dx = 1 / n and dInvStdDev/dx = -xhat / (n deviation^2).
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), dy = g.widened(g.dout(0));
  const Shape s = *g.shape(x);
  const int axis = normal_axis(g.attr().integer("axis"), s.rank());
  std::vector<std::int64_t> axes;
  for (int a = axis; a < s.rank(); ++a) axes.push_back(a);
  Standardized x_hat(g, x, std::move(axes));
  ValueId dx = x_hat.back(g.has(1) ? g.node("Mul", {dy, g.widened(g.in(1))}) : dy);
  const auto n = static_cast<double>(count(std::span(s).subspan(static_cast<std::size_t>(axis))));
  const auto share = [&](int i) { return g.node("Div", {g.cast(g.dout(i), g.dtype(dy)), g.scalar_like(dy, n)}); };
  if (g.has_dout(1)) dx = g.node("Add", {dx, share(1)});
  if (g.has_dout(2)) {
    const ValueId variance = g.node("Mul", {x_hat.deviation, x_hat.deviation});
    dx = g.node("Sub", {dx, g.node("Mul", {x_hat.normal, g.node("Div", {share(2), variance})})});
  }
  return {dx, g.node("Mul", {dy, x_hat.normal}), g.dout(0)};
}

}  // namespace

extern constinit const OpDef op_layer_normalization = define({
    .name = "LayerNormalization",
    .since = 17,
    .introduced = 1,  // ONNX has it from 17 on; ONNX Runtime's optimiser writes it into models of any version
    .doc = "Y = (X - mean) / sqrt(variance + epsilon) * Scale + B, statistics over the axes from `axis` on. A missing "
           "Scale reads as 1.",
    .source = "ONNX LayerNormalization-17; Ba et al. 2016, arXiv:1607.06450",
    .inputs = {{"X", "T", "any shape of rank >= 1"},
               {"Scale", "T", "broadcasts to X", Presence::optional},
               {"B", "T", "broadcasts to X", Presence::optional}},
    .outputs = {{"Y", "T", "shape of X"},
                {"Mean", "U", "X with the normalised axes of size 1"},
                {"InvStdDev", "U", "as Mean"}},
    .attributes = {{"axis", AttributeType::integer, -1, "first normalised axis"},
                   {"epsilon", AttributeType::real, 1e-5f, "added to the variance"},
                   {"stash_type", AttributeType::integer, 1, "element type of Mean and InvStdDev: 1 f32, 16 bf16"}},
    .types = {{"T", dtypes::floats}, {"U", set_of(Types<float, bf16>{})}},
    .dtype = dtype,
    .shape = shape,
    .in_place = {{0, 0}},
    .flops = [](const ShapeContext& c) { return 8.0 * static_cast<double>(count(c.in(0))); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 3}, {-2, 2}}; {1, 2}; {0, 1}; epsilon=0 -> {{-1, 3}, {-1, 3}}; {{2}, {0}}; {{1}, {0.5}}",
                 "{{1, 3}, {5, 8}}; {{1}, {2}}; epsilon=0 -> {{-1, 1}, {-2, 2}}",
                 "{{0, 2}, {4, 6}}; _; {{1, 2}, {3, 4}}; axis=0; epsilon=4 -> "
                 "{{0, 1.66666667}, {3.33333333, 5}}",
                 "f32[2x0]{} -> f32[2x0]{}; {{nan}, {nan}}; {{nan}, {nan}}"},
});

}  // namespace tessera
