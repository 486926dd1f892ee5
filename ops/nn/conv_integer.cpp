#include "ops/nn/conv_integer.h"

#include "ops/linalg_bytes.h"
#include "ops/window.h"

namespace tessera {
namespace {

// Products of bytes less their zero points are at most 255^2: so many of them are a whole number that f32 holds exactly
// in any order of summing. f64 holds any.
constexpr std::int64_t kExactInF32 = (1 << 24) / (255 * 255);

DType sum_type(const Shape& w) { return count(std::span(w).subspan(1)) <= kExactInF32 ? DType::f32 : DType::f64; }

}  // namespace

Shape known_weight(NodeBuilder& build, ValueId w) {
  const auto shape = build.shape(w);
  check(shape.has_value(), Code::unsupported, "a quantised convolution with a weight whose shape is not known");
  check(shape->rank() >= 3, "a weight of rank 3 or more is needed, got ", *shape);
  return *shape;
}

ValueId per_map(NodeBuilder& build, ValueId v, int rank) {
  if (const auto shape = build.shape(v))
    check(shape->rank() < 2, Code::unsupported, "scales, zero points or biases ", *shape, " of a convolution");
  std::vector<std::int64_t> to(static_cast<std::size_t>(rank), 1);
  to[0] = -1;
  return build.node("Reshape", {v, build.ints(to)});
}

ValueId conv_integer(NodeBuilder& build, ValueId x, ValueId x_zero, ValueId w, ValueId w_zero,
                     const Attributes& attributes) {
  const Shape shape = known_weight(build, w);
  const DType type = sum_type(shape);
  ValueId from = build.cast(x, type), maps = build.cast(w, type);
  if (x_zero != ValueId::none) from = build.node("Sub", {from, build.cast(x_zero, type)});
  if (w_zero != ValueId::none) maps = build.node("Sub", {maps, per_map(build, build.cast(w_zero, type), shape.rank())});
  return build.cast(build.node("Conv", {from, maps}, attributes), DType::i32);
}

extern constinit const OpDef op_conv_integer = define({
    .name = "ConvInteger",
    .since = 10,
    .introduced = 10,
    .doc = "y = (w - w_zero_point) * (x - x_zero_point) of bytes as Conv, summed in i32; padding counts as the zero "
           "point. Imported as Conv.",
    .source = "ONNX ConvInteger-10",
    .inputs = {{"x", "T1", "[N C in...]"},
               {"w", "T2", "[M C/group kernel...]"},
               {"x_zero_point", "T1", "scalar or [1]; default 0", Presence::optional},
               {"w_zero_point", "T2", "scalar, [1] or [M]; default 0", Presence::optional}},
    .outputs = {{"y", "i32", "[N M out...]"}},
    .attributes = {{"auto_pad", AttributeType::text, "NOTSET", "as Conv's", auto_pads},
                   {"dilations", AttributeType::integers, {}, "as Conv's"},
                   {"group", AttributeType::integer, 1, "as Conv's"},
                   {"kernel_shape", AttributeType::integers, {}, "as Conv's"},
                   {"pads", AttributeType::integers, {}, "as Conv's"},
                   {"strides", AttributeType::integers, {}, "as Conv's"}},
    .types = {{"T1", byte_types}, {"T2", byte_types}},
    .expand =
        [](RewriteContext& c) {
          const auto in = [&](int i) { return c.has(i) ? c.in[static_cast<std::size_t>(i)] : ValueId::none; };
          c.become({conv_integer(c.build, in(0), in(2), in(1), in(3), c.attributes)});
        },
});

}  // namespace tessera
