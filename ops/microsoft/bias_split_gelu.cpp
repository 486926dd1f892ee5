#include "runtime/op/context.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) {
  const auto halves = c.build.nodes("Split", {c.build.node("Add", {c.in[0], c.in[1]})},
                                    {{"axis", std::int64_t{-1}}, {"num_outputs", std::int64_t{2}}}, 2);
  c.become({c.build.node("Mul", {halves[0], c.build.node("Gelu", {halves[1]})})});
}

}  // namespace

extern constinit const OpDef op_bias_split_gelu = define({
    .name = "BiasSplitGelu",
    .domain = "com.microsoft",
    .doc = "Y = left * Gelu(right), the halves of X + bias along the last axis.",
    .source = "ONNX Runtime contrib operators, com.microsoft.BiasSplitGelu-1",
    .inputs = {{"X", "T", "[B x L x 2 D]"}, {"bias", "T", "[2 D]"}},
    .outputs = {{"Y", "T", "[B x L x D]"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
