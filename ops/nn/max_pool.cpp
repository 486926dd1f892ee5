#include <limits>

#include "ops/fill.h"
#include "ops/pool.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

using Poolable = Types<float, double, f16, bf16, std::int8_t, std::uint8_t>;

Pool pool_of(const AttributeReader& attr, const Shape& x) {
  const std::int64_t order = attr.integer("storage_order");
  check(order == 0 || order == 1, "storage_order is ", order, "; 0 (row major) and 1 (column major) are allowed");
  return pool_over(attr, x, true);
}

void shape(ShapeContext& c) {
  const Shape y = pooled(c.in(0), pool_of(c.attr, c.in(0)));
  c.out(0, y);
  c.out(1, y);
}

template <class C>
constexpr C lowest = std::numeric_limits<C>::has_infinity ? -std::numeric_limits<C>::infinity()
                                                          : std::numeric_limits<C>::lowest();

// NaN is larger than all numbers, and stays.
template <class T>
void take_values(const Pool& pool, const T* x, T* y) {
  for_each_pool_row(pool, [&](const PoolRow& row) {
    using C = Compute<T>;
    C best[pool_columns];
    std::fill_n(best, row.n, lowest<C>);
    const T* plane = x + row.plane * pool.inputs();
    for_each_tap(pool, row, [&](std::int64_t first, std::int64_t n, std::int64_t offset) {
      with_step(pool.window.back().stride, [&](auto step) {
        const T* from = plane + offset;
        C* to = best + first;
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) {
          const C v = static_cast<C>(from[i * step]);
          to[i] = v > to[i] || v != v ? v : to[i];
        }
      });
    });
    for (std::int64_t i = 0; i < row.n; ++i) y[row.out + i] = static_cast<T>(best[i]);
  });
}

// The places in the plane of the first elements that the windows of a row read.
void first_places(const Pool& pool, const PoolRow& row, std::int64_t* at) {
  std::int64_t offset = 0, size = 1;
  const auto first_input = [](const WindowAxis& w, std::int64_t o) {
    return o * w.stride + w.taps(o, w.in).first * w.dilation - w.begin;
  };
  const std::size_t last = pool.window.size() - 1;
  for (std::size_t a = last; a-- > 0; size *= pool.window[a + 1].in)
    offset += first_input(pool.window[a], row.at[a]) * size * pool.window[last].in;
  for (std::int64_t i = 0; i < row.n; ++i) at[i] = offset + first_input(pool.window[last], row.first + i);
}

// The place of a plane's element when the first of its axes is the one whose neighbours lie side by side.
std::int64_t column_major(const Window& window, std::int64_t at) {
  std::int64_t place = 0;
  Shape position(window.size());
  for (std::size_t a = window.size(); a-- > 0; at /= window[a].in) position[a] = at % window[a].in;
  for (std::size_t a = window.size(); a-- > 0;) place = place * window[a].in + position[a];
  return place;
}

// Of equal elements the first is taken, and the first NaN.
template <class C>
bool exceeds(C x, C best) {
  return x > best || (x != x && best == best);
}

template <class T>
void take_values_and_places(const Pool& pool, bool columns_first, const T* x, T* y, std::int64_t* indices) {
  for_each_pool_row(pool, [&](const PoolRow& row) {
    using C = Compute<T>;
    C best[pool_columns];
    std::int64_t at[pool_columns];
    std::fill_n(best, row.n, lowest<C>);
    first_places(pool, row, at);
    const std::int64_t before = row.plane * pool.inputs();
    for_each_tap(pool, row, [&](std::int64_t first, std::int64_t n, std::int64_t offset) {
      with_step(pool.window.back().stride, [&](auto step) {
        const T* from = x + before + offset;
        C* to = best + first;
        std::int64_t* place = at + first;
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) {
          const C v = static_cast<C>(from[i * step]);
          const bool more = exceeds(v, to[i]);
          to[i] = more ? v : to[i];
          place[i] = more ? offset + i * step : place[i];
        }
      });
    });
    for (std::int64_t i = 0; i < row.n; ++i) {
      y[row.out + i] = static_cast<T>(best[i]);
      indices[row.out + i] = before + (columns_first ? column_major(pool.window, at[i]) : at[i]);
    }
  });
}

void kernel(const KernelContext& k) {
  const Pool pool = pool_of(k.attr, k.in(0).shape());
  with_type(Poolable{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).read<T>().data();
    T* y = k.out(0).template write<T>().data();
    if (!k.wants(1)) return take_values(pool, x, y);
    take_values_and_places(pool, k.attr.flag("storage_order"), x, y, k.out(1).write<std::int64_t>().data());
  });
}

// dY is added where Y was taken from, plane by plane. Places are asked for in row-major order anew where the node's own
// are not.
std::vector<ValueId> gradient(GradContext& g) {
  const Shape x = *g.shape(g.in(0));
  const Pool pool = pool_of(g.attr(), x);
  Attributes attributes = g.attr().all();
  ValueId at = ValueId::none;
  if (g.attr().flag("storage_order")) {
    attributes["storage_order"] = std::int64_t{0};
    at = g.nodes("MaxPool", {g.in(0)}, attributes, 2)[1];
  } else {
    at = g.out(1);
  }
  const ValueId places = g.node("Mod", {at, g.scalar_like(at, static_cast<double>(pool.inputs()))});
  const Shape from{pool.planes, pool.inputs()}, to{pool.planes, pool.positions()};
  const ValueId dx = g.node("ScatterElements",
                            {zeros(g, g.dtype(g.dout(0)), from), reshaped(g, places, to), reshaped(g, g.dout(0), to)},
                            {{"axis", std::int64_t{1}}, {"reduction", std::string("add")}});
  return {reshaped(g, dx, x)};
}

}  // namespace

extern constinit const OpDef op_max_pool = define({
    .name = "MaxPool",
    .since = 22,
    .doc = "The largest element of each window that slides over the spatial axes, NaN if one is NaN; padding is never "
           "taken. Indices are the places of the elements taken, the first of equal ones, counted over all of X. The "
           "gradient goes to the elements taken.",
    .source = "ONNX MaxPool-22",
    .inputs = {{"X", "T", "[N C in...]"}},
    .outputs = {{"Y", "T", "[N C out...]"}, {"Indices", "i64", "shape of Y", Presence::optional}},
    .attributes = {{"auto_pad", AttributeType::text, "NOTSET", "NOTSET: as pads says", auto_pads},
                   {"ceil_mode", AttributeType::integer, 0, "1: the last window may reach beyond the padding"},
                   {"dilations", AttributeType::integers, {}, "distance of taps per axis; default 1"},
                   {"kernel_shape", AttributeType::integers, required, "size of the window per spatial axis"},
                   {"pads", AttributeType::integers, {}, "begins, then ends, less than the window; default 0"},
                   {"storage_order", AttributeType::integer, 0, "1: Indices count the spatial axes column major"},
                   {"strides", AttributeType::integers, {}, "distance of windows per axis; default 1"}},
    .types = {{"T", set_of(Poolable{})}},
    .shape = shape,
    .flops = [](const ShapeContext& c) { return pool_of(c.attr, c.in(0)).flops(); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{1, 4, 3, 2}}}; kernel_shape=[2] -> {{{4, 4, 3}}}; i64{{{1, 1, 2}}}",
                 "{{{1, 4, 3, -2}, {-5, -7, -6, -8}}}; kernel_shape=[3]; pads=[1, 1]; strides=[2] -> "
                 "{{{4, 4}, {-5, -6}}}; i64{{{1, 1}, {4, 6}}}",
                 "{{{5, 1, 2, 4, 3}}}; kernel_shape=[2]; dilations=[3] -> {{{5, 3}}}; i64{{{0, 4}}}",
                 "{{{1, 2, 3, 4, 6}}}; kernel_shape=[2]; strides=[2]; ceil_mode=1 -> {{{2, 4, 6}}}",
                 "{{{3, 2, 1}}}; kernel_shape=[2]; auto_pad=\"SAME_UPPER\" -> {{{3, 2, 1}}}; i64{{{0, 1, 2}}}",
                 "{{{3, 2, 1}}}; kernel_shape=[2]; auto_pad=\"SAME_LOWER\" -> {{{3, 3, 2}}}; i64{{{0, 0, 1}}}",
                 "{{{{1, 2, 3}, {6, 5, 4}}, {{-1, -2, -3}, {-4, -6, -5}}}}; kernel_shape=[2, 2] -> "
                 "{{{{6, 5}}, {{-1, -2}}}}; i64{{{{3, 4}}, {{6, 7}}}}",
                 "{{{{1, 2, 3}, {6, 5, 4}}}, {{{7, 8, 9}, {3, 2, 1}}}}; kernel_shape=[1, 2]; storage_order=1 -> "
                 "{{{{2, 3}, {6, 5}}}, {{{8, 9}, {3, 2}}}}; i64{{{{2, 4}, {1, 3}}}, {{{8, 10}, {7, 9}}}}",
                 "{{{{{1, 2}, {3, 4}}, {{8, 7}, {6, 5}}}}}; kernel_shape=[2, 1, 2]; pads=[1, 0, 0, 0, 0, 0] -> "
                 "{{{{{2}, {4}}, {{8}, {6}}}}}; i64{{{{{1}, {3}}, {{4}, {6}}}}}",
                 "{{{1, nan, nan, -inf, -inf}}}; kernel_shape=[2] -> {{{nan, nan, nan, -inf}}}; i64{{{1, 1, 2, 3}}}",
                 "i8{{{-128, -128, 5, 7}}}; kernel_shape=[2]; strides=[2] -> i8{{{-128, 7}}}; i64{{{0, 3}}}",
                 "f32[2x0x3]{}; kernel_shape=[2] -> f32[2x0x2]{}; i64[2x0x2]{}"},
});

}  // namespace tessera
