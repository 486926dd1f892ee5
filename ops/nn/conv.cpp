#include "ops/convolution.h"

namespace tessera {
namespace {

Convolution sizes(const AttributeReader& attr, const Shape& x, const Shape& w) {
  check(x.rank() >= 3, "Conv needs an input of rank 3 or more, got ", x);
  check(w.rank() == x.rank(), "the ranks of X ", x, " and W ", w, " differ");
  check_kernel_shape(attr, w);
  Convolution c = grouped(w, x[0], x[1], attr.integer("group"));
  c.window = convolution_window(attr, spatial(x), spatial(w));
  return c;
}

void shape(ShapeContext& c) {
  const Convolution s = sizes(c.attr, c.in(0), c.in(1));
  check(!c.has(2) || c.in(2) == Shape{s.maps}, "B must be [", s.maps, "], got ", c.has(2) ? c.in(2) : Shape{});
  Shape y{s.batch, s.maps};
  for (const auto& axis : s.window) y.push_back(axis.out);
  c.out(0, std::move(y));
}

void kernel(const KernelContext& k) {
  convolve(k.out(0).dtype(), sizes(k.attr, k.in(0).shape(), k.in(1).shape()), k.in(0).raw(), k.in(1).raw(),
           k.has(2) ? k.in(2).raw() : nullptr, k.out(0).raw());
}

// dX is the transposed convolution of dY, with so much output_padding that the inputs no window reached are there too;
// dW has an operator of its own; dB sums over batch and positions.
std::vector<ValueId> gradient(GradContext& g) {
  const Convolution c = sizes(g.attr(), *g.shape(g.in(0)), *g.shape(g.in(1)));
  Attributes attributes = window_attributes(c.window);
  attributes["group"] = c.group;
  std::vector<ValueId> d(static_cast<std::size_t>(g.inputs()), ValueId::none);
  if (g.needs(1)) d[1] = g.node("tessera::ConvWeightGrad", {g.in(0), g.dout(0)}, attributes);
  if (g.needs(0)) {
    std::vector<std::int64_t> extra;
    for (const auto& w : c.window) extra.push_back(w.in + w.begin + w.end - w.extent() - (w.out - 1) * w.stride);
    attributes["output_padding"] = extra;
    d[0] = g.node("ConvTranspose", {g.dout(0), g.in(1)}, attributes);
  }
  if (g.has(2) && g.needs(2)) d[2] = bias_gradient(g);
  return d;
}

double flops(const ShapeContext& c) { return sizes(c.attr, c.in(0), c.in(1)).flops(); }

}  // namespace

extern constinit const OpDef op_conv = define({
    .name = "Conv",
    .since = 22,
    .doc =
        "Y = W * X + B: each output position is the sum of products of a map's weights with the window there, over any "
        "number of spatial axes. Channels and maps split into groups that do not mix.",
    .source = "ONNX Conv-22",
    .inputs = {{"X", "T", "[N C in...]"}, {"W", "T", "[M C/group kernel...]"}, {"B", "T", "[M]", Presence::optional}},
    .outputs = {{"Y", "T", "[N M out...]"}},
    .attributes = {{"auto_pad", AttributeType::text, "NOTSET", "NOTSET: as pads says", auto_pads},
                   {"dilations", AttributeType::integers, {}, "distance of taps per axis; default 1"},
                   {"group", AttributeType::integer, 1, "number of groups"},
                   {"kernel_shape", AttributeType::integers, {}, "must be that of W"},
                   {"pads", AttributeType::integers, {}, "begins, then ends; default 0"},
                   {"strides", AttributeType::integers, {}, "distance of windows per axis; default 1"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .flops = flops,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{1, 2, 3, 4}}}; {{{1, 10}}} -> {{{21, 32, 43}}}",
                 "{{{1, 2, 3, 4}}}; {{{1, 10}}}; {0.5}; strides=[2]; pads=[1, 1] -> {{{10.5, 32.5, 4.5}}}",
                 "{{{1, 2, 3, 4}}}; {{{1, 10}}}; dilations=[2] -> {{{31, 42}}}",
                 "{{{1, 2, 3}}}; {{{1, 10}}}; auto_pad=\"SAME_UPPER\" -> {{{21, 32, 3}}}",
                 "{{{1, 2, 3}}}; {{{1, 10}}}; auto_pad=\"SAME_LOWER\" -> {{{10, 21, 32}}}",
                 "{{{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}}; {{{{1}}, {{10}}}, {{{0}}, {{1}}}}; {0, 1} -> "
                 "{{{{51, 62}, {73, 84}}, {{6, 7}, {8, 9}}}}",
                 "{{{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}}; {{{{1, 0}, {0, 1}}}, {{{0, 1}, {1, 0}}}}; group=2 -> "
                 "{{{{5}}, {{13}}}}",
                 "{{{{{1, 2}, {3, 4}}}}}; {{{{{1, 2}, {3, 4}}}}}; kernel_shape=[1, 2, 2]; strides=[1, 2, 2] -> "
                 "{{{{{30}}}}}",
                 "f32[0x1x3]{}; {{{1, 10}}} -> f32[0x1x2]{}"},
});

}  // namespace tessera
