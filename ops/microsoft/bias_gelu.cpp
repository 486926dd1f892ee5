#include "runtime/op/context.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) { c.become({c.build.node("Gelu", {c.build.node("Add", {c.in[0], c.in[1]})})}); }

}  // namespace

extern constinit const OpDef op_bias_gelu = define({
    .name = "BiasGelu",
    .domain = "com.microsoft",
    .doc = "C = Gelu(A + B).",
    .source = "ONNX Runtime contrib operators, com.microsoft.BiasGelu-1",
    .inputs = {{"A", "T", "any shape of rank >= 1"}, {"B", "T", "[last dim of A]"}},
    .outputs = {{"C", "T", "shape of A"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
