#include "ops/linalg_bytes.h"
#include "ops/nn/conv_integer.h"
#include "ops/quantization.h"
#include "ops/window.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) {
  auto& b = c.build;
  const int rank = known_weight(b, c.in[3]).rank() - 1;
  ValueId sums = conv_integer(b, c.in[0], c.in[2], c.in[3], c.in[5], c.attributes);
  if (c.has(8)) sums = b.node("Add", {sums, per_map(b, c.in[8], rank)});
  c.become({requantized(b, sums, c.in[1], per_map(b, c.in[4], rank), c.in[6], c.in[7])});
}

}  // namespace

extern constinit const OpDef op_qlinear_conv = define({
    .name = "QLinearConv",
    .since = 10,
    .introduced = 10,
    .doc = "Conv of bytes, each with a scale and a zero point, quantised again. Imported as Conv and QuantizeLinear.",
    .source = "ONNX QLinearConv-10",
    .inputs = {{"x", "T1", "[N C in...]"},
               {"x_scale", "f32", "scalar or [1]"},
               {"x_zero_point", "T1", "scalar or [1]"},
               {"w", "T2", "[M C/group kernel...]"},
               {"w_scale", "f32", "scalar, [1] or [M]"},
               {"w_zero_point", "T2", "shape of w_scale"},
               {"y_scale", "f32", "scalar or [1]"},
               {"y_zero_point", "T3", "shape of y_scale; its type is y's"},
               {"B", "i32", "[M], in units of x_scale w_scale", Presence::optional}},
    .outputs = {{"y", "T3", "[N M out...]"}},
    .attributes = {{"auto_pad", AttributeType::text, "NOTSET", "as Conv's", auto_pads},
                   {"dilations", AttributeType::integers, {}, "as Conv's"},
                   {"group", AttributeType::integer, 1, "as Conv's"},
                   {"kernel_shape", AttributeType::integers, {}, "as Conv's"},
                   {"pads", AttributeType::integers, {}, "as Conv's"},
                   {"strides", AttributeType::integers, {}, "as Conv's"}},
    .types = {{"T1", byte_types}, {"T2", byte_types}, {"T3", byte_types}},
    .expand = expand,
});

}  // namespace tessera
