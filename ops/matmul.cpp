#include "ops/matmul.h"

#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// Strides of a dense operand along the batch axes of the product.
Shape batch_strides(const Shape& matrix, const Shape& batch) {
  Shape strides = broadcast_strides(Shape(matrix.begin(), matrix.end() - 2), batch);
  for (auto& s : strides) s *= matrix[matrix.size() - 2] * matrix.back();
  return strides;
}

// v with its last two axes swapped.
ValueId transposed(GradContext& g, ValueId v) {
  std::vector<std::int64_t> perm;
  for (int i = 0; i < g.shape(v)->rank(); ++i) perm.push_back(i);
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return g.node("Transpose", {v}, {{"perm", perm}});
}

}  // namespace

MatMulShapes matmul_shapes(const Shape& a, const Shape& b) {
  check(a.rank() > 0 && b.rank() > 0, "MatMul takes no scalars, got ", a, " and ", b);
  MatMulShapes o{a, b, {}};
  if (a.rank() == 1) o.a = {1, a[0]};
  if (b.rank() == 1) o.b = {b[0], 1};
  check(o.a.back() == o.b[o.b.size() - 2], "the inner dims of ", a, " and ", b, " differ: ", o.a.back(), " and ",
        o.b[o.b.size() - 2]);
  o.out = broadcast(Shape(o.a.begin(), o.a.end() - 2), Shape(o.b.begin(), o.b.end() - 2));
  if (a.rank() > 1) o.out.push_back(o.a[o.a.size() - 2]);
  if (b.rank() > 1) o.out.push_back(o.b.back());
  return o;
}

Product matmul_product(const Shape& left, const Shape& right) {
  const auto [a, b, out] = matmul_shapes(left, right);
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

// With A [.. m k], B [.. k n]: dA = dY B^T, dB = A^T dY. Where one B serves all batches, they are rows: dB is then one
// product that sums over them, instead of a product per batch and a sum. Otherwise gradients have all batch axes, and a
// vector A's also its axis of one row: the driver sums over what an input was broadcast along.
std::vector<ValueId> matmul_gradient(GradContext& g, ValueId dout) {
  const Shape sa = *g.shape(g.in(0)), sb = *g.shape(g.in(1));
  auto [ma, mb, my] = matmul_shapes(sa, sb);
  const bool one_b = mb.rank() == 2;
  if (one_b) {
    ma = {count(Shape(ma.begin(), ma.end() - 1)), ma.back()};
    my = {ma[0], mb[1]};
  } else if (sa.rank() == 1) {
    my.insert(my.end() - 1, 1);
  }
  const ValueId dy = reshaped(g, dout, my);
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

}  // namespace tessera
