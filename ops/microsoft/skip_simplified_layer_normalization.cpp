#include "ops/microsoft/skip_sum.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) {
  check(!c.wants(1) && !c.wants(2), Code::unsupported,
        "the statistics as outputs (mean, inv_std_var) are not supported");
  const ValueId sum = skip_sum(c, 3);
  const ValueId y = c.build.node("RMSNormalization", {sum, c.in[2]}, {{"epsilon", c.attr().real("epsilon")}});
  c.become({y, ValueId::none, ValueId::none, sum});
}

}  // namespace

extern constinit const OpDef op_skip_simplified_layer_normalization = define({
    .name = "SkipSimplifiedLayerNormalization",
    .domain = "com.microsoft",
    .doc = "RMSNormalization over the last axis of input + skip + bias.",
    .source = "ONNX Runtime contrib operators, com.microsoft.SkipSimplifiedLayerNormalization-1",
    .inputs = {{"input", "T", "[B x L x C] or [L x C]"},
               {"skip", "T", "shape of input; [1 x L x C] or [L x C] for all of the batch"},
               {"gamma", "T", "[C]"},
               {"bias", "T", "[C]", Presence::optional}},
    .outputs = {{"output", "T", "shape of input"},
                {"mean", "f32", "not supported"},
                {"inv_std_var", "f32", "not supported"},
                {"input_skip_bias_sum", "T", "shape of input"}},
    .attributes = {{"epsilon", AttributeType::real, 1e-12f, "added to the mean square"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
