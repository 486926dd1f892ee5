#include "runtime/op/context.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) {
  const ValueId x = c.has(1) ? c.build.node("Add", {c.in[0], c.in[1]}) : c.in[0];
  c.become({c.build.node("Gelu", {x}, {{"approximate", std::string("tanh")}})});
}

}  // namespace

extern constinit const OpDef op_fast_gelu = define({
    .name = "FastGelu",
    .domain = "com.microsoft",
    .doc = "Y = Gelu(X + bias) in its tanh approximation.",
    .source = "ONNX Runtime contrib operators, com.microsoft.FastGelu-1",
    .inputs = {{"X", "T", "any shape"}, {"bias", "T", "[last dim of X]", Presence::optional}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
