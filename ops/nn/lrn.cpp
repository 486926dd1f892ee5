#include "runtime/op/context.h"

namespace tessera {
namespace {

// x's shape, and [N x 1 x C x rest] of as many elements.
std::pair<ValueId, ValueId> shapes(NodeBuilder& b, ValueId x) {
  if (const auto s = b.shape(x)) {
    check(s->rank() >= 2, "X must be [N x C x D1 x ...], got ", *s);
    return {b.ints(*s), b.ints({(*s)[0], 1, (*s)[1], count(std::span(*s).subspan(2))})};
  }
  const ValueId shape = b.node("Shape", {x});
  const auto part = [&](std::int64_t axis) { return b.node("Slice", {shape, b.ints({axis}), b.ints({axis + 1})}); };
  return {shape, b.node("Concat", {part(0), b.ints({1}), part(1), b.ints({-1})}, {{"axis", std::int64_t{0}}})};
}

// With the channels as an axis of positions [N x 1 x C x rest], the sums over neighbours are an average pool of
// size x 1, zeros counted at both ends. Sixteen-bit floats are taken to f32: their squares overflow.
void expand(RewriteContext& c) {
  auto& b = c.build;
  const std::int64_t size = c.attr().integer("size");
  check(size >= 1, "size is ", size);
  const DType type = b.dtype(c.in[0]);
  const ValueId x = b.widened(c.in[0]);
  const auto [shape, planes] = shapes(b, x);
  const Attributes as_given{{"allowzero", std::int64_t{1}}};
  const ValueId squares = b.node("Reshape", {b.node("Mul", {x, x}), planes}, as_given);
  const ValueId means = b.node("AveragePool", {squares},
                               {{"kernel_shape", std::vector<std::int64_t>{size, 1}},
                                {"pads", std::vector<std::int64_t>{(size - 1) / 2, 0, size / 2, 0}},
                                {"count_include_pad", std::int64_t{1}}});
  const ValueId scaled =
      b.node("Mul", {b.node("Reshape", {means, shape}, as_given), b.scalar_like(x, c.attr().real("alpha"))});
  const ValueId base = b.node("Add", {scaled, b.scalar_like(x, c.attr().real("bias"))});
  const ValueId y = b.node("Div", {x, b.node("Pow", {base, b.scalar_like(x, c.attr().real("beta"))})});
  c.become({b.cast(y, type)});
}

}  // namespace

extern constinit const OpDef op_lrn = define({
    .name = "LRN",
    .since = 13,
    .doc = "Y = X / (bias + alpha / size times the sum of squares of the size neighbouring channels)^beta, neighbours "
           "beyond the ends being 0; imported as an average pool over the channels.",
    .source = "ONNX LRN-13; Krizhevsky et al., NIPS 2012",
    .inputs = {{"X", "T", "[N x C x D1 x ...]"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"alpha", AttributeType::real, 1e-4f, "factor of the mean square"},
                   {"beta", AttributeType::real, 0.75f, "exponent"},
                   {"bias", AttributeType::real, 1.0f, "added to the mean square"},
                   {"size", AttributeType::integer, required,
                    "channels of a sum: (size - 1) / 2 before, size / 2 behind"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
