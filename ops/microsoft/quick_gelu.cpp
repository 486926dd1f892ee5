#include "runtime/op/context.h"

namespace tessera {

extern constinit const OpDef op_quick_gelu = define({
    .name = "QuickGelu",
    .domain = "com.microsoft",
    .doc = "Y = X sigmoid(alpha X); imported as Swish.",
    .source = "ONNX Runtime contrib operators, com.microsoft.QuickGelu-1",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"alpha", AttributeType::real, 1.702f, "factor inside the sigmoid"}},
    .types = {{"T", dtypes::floats}},
    .expand =
        [](RewriteContext& c) {
          c.become({c.build.node("Swish", {c.in[0]}, {{"alpha", c.attr().real("alpha")}})});
        },
});

}  // namespace tessera
