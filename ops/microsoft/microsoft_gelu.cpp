#include "runtime/op/context.h"

namespace tessera {

extern constinit const OpDef op_microsoft_gelu = define({
    .name = "Gelu",
    .domain = "com.microsoft",
    .doc = "Y = X Phi(X), Phi the normal distribution function: ONNX Gelu, before ONNX had it.",
    .source = "ONNX Runtime contrib operators, com.microsoft.Gelu-1",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .expand = [](RewriteContext& c) { c.become({c.build.node("Gelu", {c.in[0]})}); },
});

}  // namespace tessera
