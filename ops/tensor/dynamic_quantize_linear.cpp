#include "runtime/op/context.h"

namespace tessera {
namespace {

// The scale of nothing but zeros is 1.
void expand(RewriteContext& c) {
  auto& b = c.build;
  const ValueId x = c.in[0], zero = b.scalar_like(x, 0), most = b.scalar_like(x, 255);
  const Attributes to_scalar{{"keepdims", std::int64_t{0}}};
  const ValueId low = b.node("Min", {b.node("ReduceMin", {x}, to_scalar), zero});
  const ValueId high = b.node("Max", {b.node("ReduceMax", {x}, to_scalar), zero});
  const ValueId range = b.node("Sub", {high, low});
  const ValueId scale =
      b.node("Where", {b.node("Equal", {range, zero}), b.scalar_like(x, 1), b.node("Div", {range, most})});
  const ValueId place = b.node("Clip", {b.node("Div", {b.node("Neg", {low}), scale}), zero, most});
  const ValueId zero_point = b.cast(b.node("Round", {place}), DType::u8);
  c.become({b.node("QuantizeLinear", {x, scale, zero_point}), scale, zero_point});
}

}  // namespace

extern constinit const OpDef op_dynamic_quantize_linear = define({
    .name = "DynamicQuantizeLinear",
    .since = 11,
    .introduced = 11,
    .doc =
        "x in u8, with the scale and the zero point that its range, made to hold 0, asks for: y_scale = (max(0, x) - "
        "min(0, x)) / 255, y_zero_point = round(-min(0, x) / y_scale). Imported as reductions and QuantizeLinear.",
    .source = "ONNX DynamicQuantizeLinear-11",
    .inputs = {{"x", "f32", "any shape"}},
    .outputs = {{"y", "u8", "shape of x"}, {"y_scale", "f32", "scalar"}, {"y_zero_point", "u8", "scalar"}},
    .expand = expand,
});

}  // namespace tessera
