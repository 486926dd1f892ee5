#include <numeric>

#include "ops/fill.h"
#include "ops/index.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const auto axis = static_cast<std::size_t>(c.axis());
  const Tensor& k = c.value(1);
  check(k.size() == 1, "K must have one element, got shape ", k.shape());
  const std::int64_t n = integers(k)[0];
  Shape y = c.in(0);
  check(0 <= n && n <= y[axis], "K is ", n, " for an axis of size ", y[axis]);
  y[axis] = n;
  c.out(0, y);
  c.out(1, std::move(y));
}

// NaN is larger than every number.
template <class T>
bool above(T a, T b) {
  using C = Compute<T>;
  const C x = static_cast<C>(a), y = static_cast<C>(b);
  return x > y || (x != x && y == y);
}

template <class T>
struct Entry {
  T value;
  std::int64_t at;
};

// The first n entries of `row` become the best, in order; among equals the lowest index is first.
template <class T>
void select(std::span<Entry<T>> row, std::int64_t n, bool largest) {
  const auto before = [largest](const Entry<T>& a, const Entry<T>& b) {
    if (largest ? above(a.value, b.value) : above(b.value, a.value)) return true;
    if (largest ? above(b.value, a.value) : above(a.value, b.value)) return false;
    return a.at < b.at;
  };
  const auto end = row.begin() + n;
  if (static_cast<std::size_t>(n) < row.size()) std::nth_element(row.begin(), end, row.end(), before);
  std::sort(row.begin(), end, before);
}

void kernel(const KernelContext& k) {
  if (k.out(0).size() == 0) return;
  const AxisView v(k.in(0).shape(), k.axis());
  const std::int64_t n = k.out(0).shape()[static_cast<std::size_t>(k.axis())];
  const bool largest = k.attr.flag("largest");
  std::int64_t* indices = k.wants(1) ? k.out(1).write<std::int64_t>().data() : nullptr;
  with_type(Numeric{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).read<T>().data();
    T* y = k.out(0).template write<T>().data();
    run_parallel(v.outer * v.inner, std::max<std::int64_t>(4096 / v.axis, 1),
                 [&](std::int64_t begin, std::int64_t end) {
                   const Scratch<Entry<T>> row(v.axis);
                   for (std::int64_t r = begin; r < end; ++r) {
                     const std::int64_t o = r / v.inner, i = r % v.inner;
                     for (std::int64_t a = 0; a < v.axis; ++a) row[a] = {x[(o * v.axis + a) * v.inner + i], a};
                     select(row.span(), n, largest);
                     for (std::int64_t a = 0; a < n; ++a) {
                       const std::int64_t to = (o * n + a) * v.inner + i;
                       y[to] = row[a].value;
                       if (indices) indices[to] = row[a].at;
                     }
                   }
                 });
  });
}

std::vector<ValueId> gradient(GradContext& g) {
  return {
      g.node("ScatterElements", {zeros_like(g, g.in(0)), g.out(1), g.dout(0)}, {{"axis", g.attr().integer("axis")}})};
}

}  // namespace

extern constinit const OpDef op_top_k = define({
    .name = "TopK",
    .since = 24,
    .doc = "The K largest (or smallest) elements along an axis with their indices, best first, also where sorted is 0. "
           "Among "
           "equal elements the lowest index is first; NaN is larger than every number.",
    .source = "ONNX TopK-24",
    .inputs = {{"X", "T", "any shape of rank >= 1"}, {"K", "i64", "[1], at most the size of the axis"}},
    .outputs = {{"Values", "T", "shape of X with K on the axis"}, {"Indices", "i64", "shape of Values"}},
    .attributes = {{"axis", AttributeType::integer, -1, "in [-rank, rank)"},
                   {"largest", AttributeType::integer, 1, "0: the smallest"},
                   {"sorted", AttributeType::integer, 1, "0 allows any order; we sort always"}},
    .types = {{"T", dtypes::numeric}},
    .shape_reads = {1},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{10, [](RewriteContext& c) { c.attribute_to_input("k", 1); }}},
    .examples = {"{{1, 5, 3}, {9, 7, 8}}; i64{2} -> {{5, 3}, {9, 8}}; i64{{1, 2}, {0, 2}}",
                 "{{1, 5, 3}, {9, 7, 8}}; i64{1}; axis=0; largest=0 -> {{1, 5, 3}}; i64{{0, 0, 0}}",
                 "i32{4, 4, 4}; i64{2} -> i32{4, 4}; i64{0, 1}", "{1, 2}; i64{0} -> f32[0]{}; i64[0]{}"},
});

}  // namespace tessera
