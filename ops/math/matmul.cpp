#include "ops/linalg.h"

#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// The operands as matrices: [k] on the left is [1 x k], [k] on the right is [k x 1].
struct Operands {
  Shape a, b, out;
};

Operands operands(const Shape& a, const Shape& b) {
  check(a.rank() > 0 && b.rank() > 0, "MatMul takes no scalars, got ", a, " and ", b);
  Operands o{a, b, {}};
  if (a.rank() == 1) o.a = {1, a[0]};
  if (b.rank() == 1) o.b = {b[0], 1};
  check(o.a.back() == o.b[o.b.size() - 2], "the inner dims of ", a, " and ", b, " differ: ", o.a.back(), " and ",
        o.b[o.b.size() - 2]);
  o.out = broadcast(Shape(o.a.begin(), o.a.end() - 2), Shape(o.b.begin(), o.b.end() - 2));
  if (a.rank() > 1) o.out.push_back(o.a[o.a.size() - 2]);
  if (b.rank() > 1) o.out.push_back(o.b.back());
  return o;
}

// Strides of a dense operand along the batch axes of the product.
Shape batch_strides(const Shape& matrix, const Shape& batch) {
  Shape strides = broadcast_strides(Shape(matrix.begin(), matrix.end() - 2), batch);
  for (auto& s : strides) s *= matrix[matrix.size() - 2] * matrix.back();
  return strides;
}

Product matmul(const Shape& left, const Shape& right) {
  const auto [a, b, out] = operands(left, right);
  Product p;
  p.m = a[a.size() - 2];
  p.k = a.back();
  p.n = b.back();
  p.a.row_stride = p.k;
  p.b.row_stride = p.c.row_stride = p.n;
  const Shape batch_a(a.begin(), a.end() - 2), batch_b(b.begin(), b.end() - 2);
  if (count(batch_b) == 1) {  // one B for all: the batches of A are rows
    p.m *= count(batch_a);
    return p;
  }
  p.batch = broadcast(batch_a, batch_b);
  p.a.batch_strides = batch_strides(a, p.batch);
  p.b.batch_strides = batch_strides(b, p.batch);
  p.c.batch_strides = row_major_strides(p.batch);
  for (auto& s : p.c.batch_strides) s *= p.m * p.n;
  return p;
}

void kernel(const KernelContext& k) {
  product(k.out(0).dtype(), matmul(k.in(0).shape(), k.in(1).shape()), k.in(0).raw(), k.in(1).raw(), k.out(0).raw());
}

// v with its last two axes swapped.
ValueId transposed(GradContext& g, ValueId v) {
  std::vector<std::int64_t> perm;
  for (int i = 0; i < g.shape(v)->rank(); ++i) perm.push_back(i);
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return g.node("Transpose", {v}, {{"perm", perm}});
}

// With A [.. m k], B [.. k n]: dA = dY B^T, dB = A^T dY. Where one B serves all batches, they are rows: dB is then one
// product that sums over them, instead of a product per batch and a sum. Otherwise gradients have all batch axes, and a
// vector A's also its axis of one row: the driver sums over what an input was broadcast along.
std::vector<ValueId> gradient(GradContext& g) {
  const Shape sa = *g.shape(g.in(0)), sb = *g.shape(g.in(1));
  auto [ma, mb, my] = operands(sa, sb);
  const bool one_b = mb.rank() == 2;
  if (one_b) {
    ma = {count(Shape(ma.begin(), ma.end() - 1)), ma.back()};
    my = {ma[0], mb[1]};
  } else if (sa.rank() == 1) {
    my.insert(my.end() - 1, 1);
  }
  const ValueId dy = reshaped(g, g.dout(0), my);
  std::vector<ValueId> d(2, ValueId::none);
  if (g.needs(0)) {
    d[0] = g.node("MatMul", {dy, transposed(g, reshaped(g, g.in(1), mb))});
    if (one_b) d[0] = reshaped(g, d[0], sa);
  }
  if (g.needs(1)) {
    d[1] = g.node("MatMul", {transposed(g, reshaped(g, g.in(0), ma)), dy});
    if (one_b) d[1] = reshaped(g, d[1], sb);
  }
  return d;
}

double flops(const ShapeContext& c) { return matmul(c.in(0), c.in(1)).flops(); }

}  // namespace

extern constinit const OpDef op_matmul = define({
    .name = "MatMul",
    .since = 13,
    .doc =
        "Y = A B over the last two axes, as numpy.matmul: batch axes broadcast, a vector on the left is a row, on the "
        "right a column, and its axis is dropped from Y. Integers wrap; f16 and bf16 are summed in f32.",
    .source = "ONNX MatMul-13; numpy.matmul",
    .inputs = {{"A", "T", "[.. m k] or [k]"}, {"B", "T", "[.. k n] or [k]"}},
    .outputs = {{"Y", "T", "[.. m n]"}},
    .types = {{"T", set_of(ProductTypes{})}},
    .shape = [](ShapeContext& c) { c.out(0, operands(c.in(0), c.in(1)).out); },
    .flops = flops,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}} -> {{19, 22}, {43, 50}}", "{1, 2}; {3, 4} -> 11",
                 "{1, 2}; {{{1, 0}, {0, 1}}, {{0, 1}, {1, 0}}} -> {{1, 2}, {2, 1}}",
                 "{{{1, 2}}, {{3, 4}}}; {10, 1} -> {{12}, {34}}",
                 "{{{{1}, {2}}}, {{{3}, {4}}}}; {{{1, 2}}, {{3, 4}}} -> {{{{1, 2}, {2, 4}}, {{3, 4}, {6, 8}}}, "
                 "{{{3, 6}, {4, 8}}, {{9, 12}, {12, 16}}}}",
                 "f32[2x0]{}; f32[0x2]{} -> {{0, 0}, {0, 0}}"},
});

}  // namespace tessera
