#include "ops/linalg_bytes.h"
#include "ops/quantization.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) {
  auto& b = c.build;
  const ValueId sums = b.node("MatMulInteger", {c.in[0], c.in[3], c.in[2], c.in[5]});
  c.become({requantized(b, sums, c.in[1], c.in[4], c.in[6], c.in[7])});
}

}  // namespace

extern constinit const OpDef op_qlinear_matmul = define({
    .name = "QLinearMatMul",
    .since = 21,
    .introduced = 10,
    .doc = "MatMul of bytes, each with a scale and a zero point, quantised again. Imported as MatMulInteger and "
           "QuantizeLinear.",
    .source = "ONNX QLinearMatMul-21",
    .inputs = {{"a", "T1", "[.. m k] or [k]"},
               {"a_scale", "TS", "scalar or [1]"},
               {"a_zero_point", "T1", "scalar or [1]"},
               {"b", "T2", "[.. k n] or [k]"},
               {"b_scale", "TS", "scalar, [1] or [n]"},
               {"b_zero_point", "T2", "shape of b_scale"},
               {"y_scale", "TS", "scalar or [1]"},
               {"y_zero_point", "T3", "shape of y_scale; its type is y's"}},
    .outputs = {{"y", "T3", "[.. m n]"}},
    .types = {{"T1", byte_types}, {"T2", byte_types}, {"T3", byte_types}, {"TS", set_of(Types<float, f16, bf16>{})}},
    .expand = expand,
});

}  // namespace tessera
