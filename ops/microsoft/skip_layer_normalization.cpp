#include "ops/microsoft/skip_sum.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) {
  const ValueId sum = skip_sum(c, 4), beta = c.has(3) ? c.in[3] : ValueId::none;
  auto y = c.build.nodes("LayerNormalization", {sum, c.in[2], beta}, {{"epsilon", c.attr().real("epsilon")}},
                         c.wants(1) || c.wants(2) ? 3 : 1);
  y.resize(3, ValueId::none);
  y.push_back(sum);
  c.become(std::move(y));
}

}  // namespace

extern constinit const OpDef op_skip_layer_normalization = define({
    .name = "SkipLayerNormalization",
    .domain = "com.microsoft",
    .doc = "LayerNormalization over the last axis of input + skip + bias.",
    .source = "ONNX Runtime contrib operators, com.microsoft.SkipLayerNormalization-1",
    .inputs = {{"input", "T", "[B x L x C] or [L x C]"},
               {"skip", "T", "shape of input; [1 x L x C] or [L x C] for all of the batch"},
               {"gamma", "T", "[C]"},
               {"beta", "T", "[C]", Presence::optional},
               {"bias", "T", "[C]", Presence::optional}},
    .outputs = {{"output", "T", "shape of input"},
                {"mean", "f32", "input's with C of size 1"},
                {"inv_std_var", "f32", "as mean: 1 / standard deviation"},
                {"input_skip_bias_sum", "T", "shape of input"}},
    .attributes = {{"epsilon", AttributeType::real, 1e-12f, "added to the variance"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
