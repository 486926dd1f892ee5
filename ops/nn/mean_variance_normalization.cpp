#include "runtime/op/context.h"

namespace tessera {
namespace {

// Sixteen-bit floats are taken to f32: 1e-9 is 0 among f16, and a constant input would give 0 / 0.
void expand(RewriteContext& c) {
  auto& b = c.build;
  const DType type = b.dtype(c.in[0]);
  const ValueId x = b.widened(c.in[0]);
  const ValueId axes = c.attr().has("axes") ? b.ints(c.attr().integers("axes")) : b.ints({0, 2, 3});
  const ValueId centred = b.node("Sub", {x, b.node("ReduceMean", {x, axes})});
  const ValueId variance = b.node("ReduceMean", {b.node("Mul", {centred, centred}), axes});
  const ValueId deviation = b.node("Add", {b.node("Sqrt", {variance}), b.scalar_like(x, 1e-9)});
  const ValueId y = b.node("Div", {centred, deviation});
  c.become({b.cast(y, type)});
}

}  // namespace

extern constinit const OpDef op_mean_variance_normalization = define({
    .name = "MeanVarianceNormalization",
    .since = 13,
    .introduced = 9,
    .doc = "Y = (X - mean) / (sqrt(variance) + 1e-9), statistics over axes; imported as reductions and arithmetic.",
    .source = "ONNX MeanVarianceNormalization-13",
    .inputs = {{"X", "T", "any shape; of rank 4 where axes are not given"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"axes", AttributeType::integers, {}, "those the statistics are over; default [0, 2, 3]"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
