#include "ops/convolution.h"

namespace tessera {
namespace {

// The convolution whose adjoint this is: it reads Y (its `channels`) and gives X (its `maps`).
Convolution sizes(const AttributeReader& attr, const Shape& x, const Shape& w) {
  check(x.rank() >= 3, "ConvTranspose needs an input of rank 3 or more, got ", x);
  check(w.rank() == x.rank() && w[0] == x[1], "W ", w, " does not fit X ", x);
  check_kernel_shape(attr, w);
  const std::int64_t group = attr.integer("group");
  check(group >= 1 && w[1] <= (std::int64_t{1} << 40) / group, "group is ", group);
  Convolution c = grouped(w, x[0], w[1] * group, group);
  c.window = transposed_window(attr, spatial(x), spatial(w));
  return c;
}

void shape(ShapeContext& c) {
  const Convolution s = sizes(c.attr, c.in(0), c.in(1));
  check(!c.has(2) || c.in(2) == Shape{s.channels}, "B must be [", s.channels, "], got ", c.has(2) ? c.in(2) : Shape{});
  Shape y{s.batch, s.channels};
  for (const auto& axis : s.window) y.push_back(axis.in);
  c.out(0, std::move(y));
}

void kernel(const KernelContext& k) {
  convolve_transposed(k.out(0).dtype(), sizes(k.attr, k.in(0).shape(), k.in(1).shape()), k.in(0).raw(), k.in(1).raw(),
                      k.has(2) ? k.in(2).raw() : nullptr, k.out(0).raw());
}

// dX is the convolution of dY, whose ends are padded or cropped such that it has X's size; dW and dB as those of Conv,
// with X and dY in each other's place.
std::vector<ValueId> gradient(GradContext& g) {
  Convolution c = sizes(g.attr(), *g.shape(g.in(0)), *g.shape(g.in(1)));
  for (auto& w : c.window) w.end = (w.out - 1) * w.stride + w.extent() - w.in - w.begin;
  Attributes attributes = window_attributes(c.window);
  attributes["group"] = c.group;
  std::vector<ValueId> d(static_cast<std::size_t>(g.inputs()), ValueId::none);
  if (g.needs(0)) d[0] = g.node("Conv", {g.dout(0), g.in(1)}, attributes);
  if (g.needs(1)) d[1] = g.node("tessera::ConvWeightGrad", {g.dout(0), g.in(0)}, attributes);
  if (g.has(2) && g.needs(2)) d[2] = bias_gradient(g);
  return d;
}

double flops(const ShapeContext& c) { return sizes(c.attr, c.in(0), c.in(1)).flops(); }

}  // namespace

extern constinit const OpDef op_conv_transpose = define({
    .name = "ConvTranspose",
    .since = 22,
    .doc =
        "Y = the adjoint of a convolution with W, applied to X, + B: every input element adds its multiple of the "
        "kernel to the window there. in = stride (X - 1) + output_padding + (kernel - 1) dilation + 1 - pads per axis.",
    .source = "ONNX ConvTranspose-22",
    .inputs = {{"X", "T", "[N C in...]"}, {"W", "T", "[C M/group kernel...]"}, {"B", "T", "[M]", Presence::optional}},
    .outputs = {{"Y", "T", "[N M out...]"}},
    .attributes = {{"auto_pad", AttributeType::text, "NOTSET", "NOTSET: as pads says", auto_pads},
                   {"dilations", AttributeType::integers, {}, "distance of taps per axis; default 1"},
                   {"group", AttributeType::integer, 1, "number of groups"},
                   {"kernel_shape", AttributeType::integers, {}, "must be that of W"},
                   {"output_padding", AttributeType::integers, {}, "elements added at the end per axis; default 0"},
                   {"output_shape", AttributeType::integers, {}, "spatial dims of Y; pads follow from them"},
                   {"pads", AttributeType::integers, {}, "begins, then ends, cropped from Y; default 0"},
                   {"strides", AttributeType::integers, {}, "distance of windows per axis; default 1"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .flops = flops,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{1, 2, 3}}}; {{{1, 10}}} -> {{{1, 12, 23, 30}}}",
                 "{{{1, 2, 3}}}; {{{1, 10}}}; {0.5}; strides=[2]; output_padding=[1] -> "
                 "{{{1.5, 10.5, 2.5, 20.5, 3.5, 30.5, 0.5}}}",
                 "{{{1, 2, 3}}}; {{{1, 10}}}; dilations=[2]; pads=[1, 0] -> {{{2, 13, 20, 30}}}",
                 "{{{1, 2, 3}}}; {{{1, 10, 100}}}; strides=[2]; output_shape=[6] -> {{{10, 102, 20, 203, 30, 300}}}",
                 "{{{1, 2, 3}}}; {{{1, 10, 100}}}; strides=[2]; auto_pad=\"SAME_UPPER\" -> "
                 "{{{1, 10, 102, 20, 203, 30}}}",
                 "{{{{1}}, {{2}}}}; {{{{1, 2}}}, {{{3, 4}}}}; group=2 -> {{{{1, 2}}, {{6, 8}}}}",
                 "{{{{1, 2}}}}; {{{{1}, {3}}, {{2}, {4}}}} -> {{{{1, 2}, {3, 6}}, {{2, 4}, {4, 8}}}}"},
});

}  // namespace tessera
