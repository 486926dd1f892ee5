#include "ops/fill.h"
#include "ops/pool.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

Pool pool_of(const AttributeReader& attr, const Shape& x) {
  return pool_over(attr, x, !attr.flag("count_include_pad"));
}

void shape(ShapeContext& c) { c.out(0, pooled(c.in(0), pool_of(c.attr, c.in(0)))); }

// How many taps of window o count on this axis. What lies beyond the padding, where ceil_mode lets windows reach, never
// does.
std::int64_t counted(const WindowAxis& w, std::int64_t o, bool include_pad) {
  if (include_pad) return w.taps(o, w.in + w.end).second;
  const auto [first, last] = w.taps(o, w.in);
  return last - first;
}

// Sums are kept in Acc.
template <class Acc, class T>
void average(const Pool& pool, bool include_pad, const T* x, T* y) {
  const WindowAxis& line = pool.window.back();
  const Scratch<Acc> in_line(line.out);
  for (std::int64_t o = 0; o < line.out; ++o) in_line[o] = static_cast<Acc>(counted(line, o, include_pad));
  const Acc* in_lines = in_line.data();
  for_each_pool_row(pool, [&](const PoolRow& row) {
    Acc sum[pool_columns];
    std::fill_n(sum, row.n, Acc{0});
    const T* plane = x + row.plane * pool.inputs();
    for_each_tap(pool, row, [&](std::int64_t first, std::int64_t n, std::int64_t offset) {
      with_step(line.stride, [&](auto step) {
        const T* from = plane + offset;
        Acc* to = sum + first;
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) to[i] += static_cast<Acc>(static_cast<Compute<T>>(from[i * step]));
      });
    });
    Acc lines = 1;
    for (std::size_t a = 0; a < row.at.size(); ++a)
      lines *= static_cast<Acc>(counted(pool.window[a], row.at[a], include_pad));
    for (std::int64_t i = 0; i < row.n; ++i)
      y[row.out + i] = static_cast<T>(static_cast<Compute<T>>(sum[i] / (lines * in_lines[row.first + i])));
  });
}

void kernel(const KernelContext& k) {
  const Pool pool = pool_of(k.attr, k.in(0).shape());
  const bool include_pad = k.attr.flag("count_include_pad");
  if (k.out(0).size() == 0) return;
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).read<T>().data();
    T* y = k.out(0).template write<T>().data();
    if (pool.taps() <= 64)  // of more the sum would lose digits in f32
      average<Compute<T>>(pool, include_pad, x, y);
    else
      average<double>(pool, include_pad, x, y);
  });
}

// How many elements each window is the mean of, [1, 1, out...].
Tensor window_sizes(const Pool& pool, bool include_pad) {
  std::vector<double> sizes(static_cast<std::size_t>(pool.positions()), 1);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    for (std::size_t a = pool.window.size(); a-- > 0; rest /= pool.window[a].out)
      sizes[i] *= static_cast<double>(counted(pool.window[a], rest % pool.window[a].out, include_pad));
  }
  return Tensor::of<double>(pooled({1, 1}, pool), sizes);
}

// Every output hands dY / its window's size to the elements of the window: the transposed convolution with weights of
// 1, each plane a sample of one channel. To it, what a window reaches beyond the padding is padding too.
std::vector<ValueId> gradient(GradContext& g) {
  const Shape x = *g.shape(g.in(0));
  Pool pool = pool_of(g.attr(), x);
  const ValueId dy = g.widened(g.dout(0));
  if (count(pooled(x, pool)) == 0) return {zeros_like(g, g.in(0))};
  const Tensor sizes = converted(window_sizes(pool, g.attr().flag("count_include_pad")), g.dtype(dy));
  const ValueId share = g.node("Div", {dy, g.constant(sizes)});
  std::vector<std::int64_t> beyond;
  for (auto& w : pool.window) {
    const std::int64_t reached = (w.out - 1) * w.stride + w.extent();
    w.end = std::max(w.end, reached - w.in - w.begin);
    beyond.push_back(w.in + w.begin + w.end - reached);
  }
  Attributes attributes = window_attributes(pool.window);
  attributes["output_padding"] = beyond;
  Shape weights{1, 1};
  for (const auto& w : pool.window) weights.push_back(w.kernel);
  const std::vector<double> ones(static_cast<std::size_t>(count(weights)), 1);
  const ValueId dx = g.node("ConvTranspose",
                            {reshaped(g, share, pooled({pool.planes, 1}, pool)),
                             g.constant(converted(Tensor::of<double>(weights, ones), g.dtype(dy)))},
                            attributes);
  return {reshaped(g, dx, x)};
}

}  // namespace

extern constinit const OpDef op_average_pool = define({
    .name = "AveragePool",
    .since = 22,
    .doc = "The mean of each window that slides over the spatial axes: of the elements of X in it, or of the padding's "
           "zeros too.",
    .source = "ONNX AveragePool-22",
    .inputs = {{"X", "T", "[N C in...]"}},
    .outputs = {{"Y", "T", "[N C out...]"}},
    .attributes = {{"auto_pad", AttributeType::text, "NOTSET", "NOTSET: as pads says", auto_pads},
                   {"ceil_mode", AttributeType::integer, 0, "1: the last window may reach beyond the padding"},
                   {"count_include_pad", AttributeType::integer, 0, "1: padding counts as zeros"},
                   {"dilations", AttributeType::integers, {}, "distance of taps per axis; default 1"},
                   {"kernel_shape", AttributeType::integers, required, "size of the window per spatial axis"},
                   {"pads", AttributeType::integers, {}, "begins, then ends, less than the window; default 0"},
                   {"strides", AttributeType::integers, {}, "distance of windows per axis; default 1"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .flops = [](const ShapeContext& c) { return pool_of(c.attr, c.in(0)).flops(); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{1, 3, 5, 7}}}; kernel_shape=[2] -> {{{2, 4, 6}}}",
                 "{{{1, 3, 5, 7}}}; kernel_shape=[3]; pads=[1, 1]; strides=[2] -> {{{2, 5}}}",
                 "{{{1, 3, 5, 7}}}; kernel_shape=[4]; pads=[2, 1]; count_include_pad=1 -> {{{1, 2.25, 4, 3.75}}}",
                 "{{{1, 3, 5, 7, 9}}}; kernel_shape=[2]; dilations=[3] -> {{{4, 6}}}",
                 "{{{1, 3, 5, 7, 9}}}; kernel_shape=[3]; strides=[3]; ceil_mode=1 -> {{{3, 8}}}",
                 "{{{1, 3, 5, 7, 9}}}; kernel_shape=[4]; strides=[4]; pads=[0, 1]; ceil_mode=1; count_include_pad=1 -> "
                 "{{{4, 4.5}}}",
                 "{{{1, 3, 5}}}; kernel_shape=[2]; auto_pad=\"SAME_UPPER\" -> {{{2, 4, 5}}}",
                 "{{{1, 3, 5}}}; kernel_shape=[2]; auto_pad=\"SAME_LOWER\" -> {{{1, 2, 4}}}",
                 "{{{{1, 3, 5}, {7, 9, 11}}, {{2, 4, 6}, {0, 0, 0}}}}; kernel_shape=[2, 2] -> "
                 "{{{{5, 7}}, {{1.5, 2.5}}}}",
                 "{{{{{1, 2}, {3, 4}}, {{8, 7}, {6, 5}}}}}; kernel_shape=[2, 1, 2]; pads=[1, 0, 0, 0, 0, 0]; "
                 "strides=[1, 2, 2] -> {{{{{1.5}}, {{4.5}}}}}",
                 "f32[2x0x3]{}; kernel_shape=[2] -> f32[2x0x2]{}"},
});

}  // namespace tessera
