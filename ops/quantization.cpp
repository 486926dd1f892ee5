#include "ops/quantization.h"

namespace tessera {

bool one_scale(const AttributeReader& attr, const Shape& scale) {
  return attr.integer("block_size") == 0 && scale.rank() <= 1 && count(scale) == 1;
}

QuantizedRuns::QuantizedRuns(const AttributeReader& attr, const Shape& x, const Shape& scale) {
  const std::int64_t block_size = attr.integer("block_size");
  check(block_size >= 0, "block_size is ", block_size);
  if (one_scale(attr, scale)) {
    size = run = count(x);
    return;
  }
  const auto axis = static_cast<std::size_t>(normal_axis(attr.integer("axis"), x.rank()));
  const std::int64_t dim = x[axis], inner = count(std::span(x).subspan(axis + 1));
  outer = count(std::span(x).first(axis));
  size = dim * inner;
  if (block_size == 0) {
    check(scale == Shape{dim}, "the scale must be a scalar, or [", dim, "] along axis ", axis, ", or come with a ",
          "block_size; it is ", scale, " for an input ", x);
    run = inner == 1 ? dim : inner;
    step = inner == 1 ? 1 : 0;
    group_scales = 1;
    return;
  }
  const std::int64_t block = std::min(block_size, std::max<std::int64_t>(dim, 1));
  Shape blocks = x;
  blocks[axis] = divide_up(dim, block);
  check(scale == blocks, "in blocks of ", block_size, " along axis ", axis, " the scale of an input ", x, " must be ",
        blocks, ", got ", scale);
  run = inner == 1 ? block : inner;
  step = inner == 1 ? 0 : 1;
  outer_scales = blocks[axis] * inner;
  group = inner == 1 ? 1 : block;
  group_scales = inner;
}

void quantized_shape(ShapeContext& c) {
  const QuantizedRuns runs(c.attr, c.in(0), c.in(1));
  if (c.has(2)) {
    const bool both_single = count(c.in(1)) == 1 && count(c.in(2)) == 1;
    check(c.in(2) == c.in(1) || both_single, "the zero point ", c.in(2), " does not have the scale's shape ", c.in(1));
  }
  c.out(0, c.in(0));
}

DType output_dtype(const AttributeReader& attr, DTypeSet allowed) {
  if (attr.integer("output_dtype") == 0) return DType::undefined;
  const DType dtype = attr.dtype("output_dtype");
  check(allowed.has(dtype), Code::unsupported, "output_dtype ", dtype, " is not supported here");
  return dtype;
}

ValueId requantized(NodeBuilder& build, ValueId sums, ValueId a_scale, ValueId b_scale, ValueId y_scale,
                    ValueId y_zero) {
  for (const ValueId scale : {a_scale, y_scale})
    if (const auto shape = build.shape(scale))
      check(count(*shape) == 1, Code::unsupported, "scales ", *shape, " where one for all is expected");
  const auto f32 = [&](ValueId v) { return build.cast(v, DType::f32); };  // f16 would not hold the sums
  const ValueId real = build.node("Mul", {f32(sums), build.node("Mul", {f32(a_scale), f32(b_scale)})});
  return build.node("QuantizeLinear", {real, f32(y_scale), y_zero});
}

}  // namespace tessera
