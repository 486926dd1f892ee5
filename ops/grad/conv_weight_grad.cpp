#include "ops/convolution.h"

namespace tessera {
namespace {

// The window is the one of the forward convolution, of which dY has the outputs that count.
Convolution sizes(const AttributeReader& attr, const Shape& x, const Shape& dy) {
  check(x.rank() >= 3 && dy.rank() == x.rank() && dy[0] == x[0], "dY ", dy, " does not fit X ", x);
  const std::int64_t group = attr.integer("group");
  check(group >= 1 && x[1] % group == 0, x[1], " channels do not split into ", group, " groups");
  Shape w{dy[1], x[1] / group};
  const auto kernel = attr.integers("kernel_shape");
  w.append(kernel.begin(), kernel.end());
  Convolution c = grouped(w, x[0], x[1], group);
  c.window = convolution_window(attr, spatial(x), kernel);
  check(outs(c.window) == spatial(dy), "dY ", dy, " does not fit the outputs ", outs(c.window));
  return c;
}

void shape(ShapeContext& c) {
  const Convolution s = sizes(c.attr, c.in(0), c.in(1));
  Shape w{s.maps, s.channels / s.group};
  for (const auto& axis : s.window) w.push_back(axis.kernel);
  c.out(0, std::move(w));
}

void kernel(const KernelContext& k) {
  convolve_weights(k.out(0).dtype(), sizes(k.attr, k.in(0).shape(), k.in(1).shape()), k.in(0).raw(), k.in(1).raw(),
                   k.out(0).raw());
}

// dW is linear in X and in dY: with G = the gradient of dW, that of dY is the convolution of X with G, that of X the
// transposed convolution of dY with G.
std::vector<ValueId> gradient(GradContext& g) {
  const Convolution c = sizes(g.attr(), *g.shape(g.in(0)), *g.shape(g.in(1)));
  Attributes attributes = window_attributes(c.window);
  attributes["group"] = c.group;
  std::vector<ValueId> d(2, ValueId::none);
  if (g.needs(1)) d[1] = g.node("Conv", {g.in(0), g.dout(0)}, attributes);
  if (g.needs(0)) {
    std::vector<std::int64_t> extra;
    for (const auto& w : c.window) extra.push_back(w.in + w.begin + w.end - w.extent() - (w.out - 1) * w.stride);
    attributes["output_padding"] = extra;
    d[0] = g.node("ConvTranspose", {g.in(1), g.dout(0)}, attributes);
  }
  return d;
}

double flops(const ShapeContext& c) { return sizes(c.attr, c.in(0), c.in(1)).flops(); }

}  // namespace

extern constinit const OpDef op_conv_weight_grad = define({
    .name = "ConvWeightGrad",
    .domain = "tessera",
    .since = 1,
    .doc = "dW of Y = Conv(X, W) with these attributes: the sum over batch and output positions of dY times the window "
           "of X "
           "there.",
    .source = "the derivative of ONNX Conv-22",
    .inputs = {{"X", "T", "[N C in...]"}, {"dY", "T", "[N M out...]"}},
    .outputs = {{"dW", "T", "[M C/group kernel...]"}},
    .attributes = {{"auto_pad", AttributeType::text, "NOTSET", "as Conv", auto_pads},
                   {"dilations", AttributeType::integers, {}, "as Conv"},
                   {"group", AttributeType::integer, 1, "as Conv"},
                   {"kernel_shape", AttributeType::integers, required, "spatial dims of W"},
                   {"pads", AttributeType::integers, {}, "as Conv"},
                   {"strides", AttributeType::integers, {}, "as Conv"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .flops = flops,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{1, 2, 3, 4}}}; {{{1, 10, 100}}}; kernel_shape=[2] -> {{{321, 432}}}",
                 "{{{1, 2, 3, 4}}}; {{{1, 10}}}; kernel_shape=[2]; strides=[2] -> {{{31, 42}}}",
                 "{{{1, 2}, {3, 4}}}; {{{1, 10}, {100, 1000}}}; kernel_shape=[1]; group=2 -> {{{21}}, {{4300}}}"},
});

}  // namespace tessera
