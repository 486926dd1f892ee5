#include <cstring>

#include "ops/linalg.h"

#include "runtime/op/context.h"

namespace tessera {
namespace {

// A' and B' are the operands after transA and transB.
struct Sizes {
  std::int64_t m, n, k;
};

Sizes sizes(const Shape& a, const Shape& b, bool trans_a, bool trans_b) {
  check(a.rank() == 2 && b.rank() == 2, "Gemm takes matrices, got ", a, " and ", b);
  const Sizes s{a[trans_a ? 1 : 0], b[trans_b ? 0 : 1], a[trans_a ? 0 : 1]};
  check(b[trans_b ? 1 : 0] == s.k, "the inner dims of ", a, (trans_a ? " transposed" : ""), " and ", b,
        (trans_b ? " transposed" : ""), " differ: ", s.k, " and ", b[trans_b ? 1 : 0]);
  return s;
}

void shape(ShapeContext& c) {
  const Sizes s = sizes(c.in(0), c.in(1), c.attr.flag("transA"), c.attr.flag("transB"));
  Shape y{s.m, s.n};
  if (c.has(2)) check(broadcasts_to(c.in(2), y), "C ", c.in(2), " does not broadcast to ", y);
  c.out(0, std::move(y));
}

// Integers with alpha or beta other than 1: y = alpha y + beta c in f64, truncated towards zero.
void scale_integers(const KernelContext& k, const Shape& c_strides, float alpha, float beta) {
  with_type(Types<std::int32_t, std::int64_t, std::uint32_t, std::uint64_t>{}, k.out(0).dtype(), [&]<class T>(Type<T>) {
    Tensor scaled(DType::f64, k.out(0).shape());
    const auto y = k.out(0).read<T>();
    const auto z = scaled.write<double>();
    const std::int64_t n = k.out(0).dim(1);
    for (std::int64_t i = 0; i < k.out(0).size(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      z[at] = static_cast<double>(alpha) * static_cast<double>(y[at]);
      if (!c_strides.empty())
        z[at] += static_cast<double>(beta) *
                 static_cast<double>(
                     k.in(2).read<T>()[static_cast<std::size_t>(i / n * c_strides[0] + i % n * c_strides[1])]);
    }
    const Tensor rounded = converted(scaled, k.out(0).dtype());
    std::memcpy(k.out(0).raw(), rounded.raw(), rounded.bytes());
  });
}

void kernel(const KernelContext& k) {
  const bool trans_a = k.attr.flag("transA"), trans_b = k.attr.flag("transB");
  const Sizes s = sizes(k.in(0).shape(), k.in(1).shape(), trans_a, trans_b);
  const float alpha = k.attr.real("alpha"), beta = k.attr.real("beta");
  Product p;
  p.m = s.m;
  p.n = s.n;
  p.k = alpha != 0 ? s.k : 0;  // as in BLAS, alpha = 0 ignores A and B
  p.a = {k.in(0).dim(1), trans_a};
  p.b = {k.in(1).dim(1), trans_b};
  p.c = {s.n};
  const bool adds = k.has(2) && beta != 0;  // as in BLAS, beta = 0 ignores C, NaN and all
  const Shape c_strides = adds ? broadcast_strides(k.in(2).shape(), k.out(0).shape()) : Shape{};
  const DType t = k.out(0).dtype();
  const bool in_f64 = !dtypes::floats.has(t) && (alpha != 1 || (adds && beta != 1));
  if (!in_f64) {
    p.alpha = alpha;
    p.beta = beta;
    if (adds) {
      p.addend = k.in(2).raw();
      p.addend_rows = c_strides[0];
      p.addend_columns = c_strides[1];
    }
  }
  product(t, p, k.in(0).raw(), k.in(1).raw(), k.out(0).raw());
  if (in_f64) scale_integers(k, c_strides, alpha, beta);
}

// Y = alpha A' B' + beta C. dA' = alpha dY B'^T, dB' = alpha A'^T dY, each written as the Gemm that gives dA or dB as
// it is stored; dC = beta dY, summed by the driver over the axes C was broadcast along.
std::vector<ValueId> gradient(GradContext& g) {
  const std::int64_t ta = g.attr().integer("transA") != 0, tb = g.attr().integer("transB") != 0;
  const float beta = g.attr().real("beta");
  const auto gemm = [&](ValueId a, ValueId b, std::int64_t trans_a, std::int64_t trans_b) {
    return g.node("Gemm", {a, b}, {{"alpha", g.attr().real("alpha")}, {"transA", trans_a}, {"transB", trans_b}});
  };
  const ValueId dy = g.dout(0);
  std::vector<ValueId> d(static_cast<std::size_t>(g.inputs()), ValueId::none);
  if (g.needs(0)) d[0] = ta ? gemm(g.in(1), dy, tb, 1) : gemm(dy, g.in(1), 0, 1 - tb);
  if (g.needs(1)) d[1] = tb ? gemm(dy, g.in(0), 1, ta) : gemm(g.in(0), dy, 1 - ta, 0);
  if (g.has(2) && g.needs(2)) d[2] = beta == 1 ? dy : g.node("Mul", {dy, g.scalar_like(dy, static_cast<double>(beta))});
  return d;
}

double flops(const ShapeContext& c) {
  const Sizes s = sizes(c.in(0), c.in(1), c.attr.flag("transA"), c.attr.flag("transB"));
  return 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
}

}  // namespace

extern constinit const OpDef op_gemm = define({
    .name = "Gemm",
    .since = 13,
    .doc =
        "Y = alpha A' B' + beta C, with A' = A transposed when transA, B' = B transposed when transB, C broadcast to "
        "[m n]. beta = 0 ignores C. Integers wrap, unless alpha or beta differ from 1: then the sum is rounded to "
        "zero.",
    .source = "ONNX Gemm-13",
    .inputs = {{"A", "T", "[m k], or [k m] with transA"},
               {"B", "T", "[k n], or [n k] with transB"},
               {"C", "T", "broadcasts to [m n]", Presence::optional}},
    .outputs = {{"Y", "T", "[m n]"}},
    .attributes = {{"alpha", AttributeType::real, 1.0f, "factor of A' B'"},
                   {"beta", AttributeType::real, 1.0f, "factor of C"},
                   {"transA", AttributeType::integer, 0, "1: A is stored transposed"},
                   {"transB", AttributeType::integer, 0, "1: B is stored transposed"}},
    .types = {{"T", set_of(ProductTypes{})}},
    .shape = shape,
    .flops = flops,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{7, [](RewriteContext& c) { c.attributes.erase("broadcast"); }}},
    .examples = {"{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}} -> {{19, 22}, {43, 50}}",
                 "{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}}; {10, 20}; alpha=2.0; beta=0.5 -> {{43, 54}, {91, 110}}",
                 "{{1, 2, 3}}; {{1, 2}}; {{1}, {2}, {3}}; transA=1 -> {{2, 3}, {4, 6}, {6, 9}}",
                 "{{1, 2, 3}}; {{1, 0, 1}, {0, 1, 0}}; 1; transB=1 -> {{5, 3}}",
                 "{{1}, {2}}; {{3}, {4}}; {{7}}; transA=1; beta=2.0 -> {{25}}",
                 "{{1}, {2}}; {{3, 4}}; transA=1; transB=1 -> {{11}}"},
});

}  // namespace tessera
