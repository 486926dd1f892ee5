#include "runtime/op/context.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) {
  check(!c.wants(1), Code::unsupported, "the output inv_std_var is not supported");
  c.become({c.build.node("RMSNormalization", c.in, c.attributes)});
}

}  // namespace

// Not an ONNX operator, but in the domain of ONNX: so ONNX Runtime's optimiser writes it.
extern constinit const OpDef op_simplified_layer_normalization = define({
    .name = "SimplifiedLayerNormalization",
    .doc = "Y = X / sqrt(mean(X^2) + epsilon) * scale, the mean over the axes from `axis` on; imported as "
           "RMSNormalization.",
    .source = "ONNX Runtime, SimplifiedLayerNormalization-1",
    .inputs = {{"X", "T", "any shape of rank >= 1"}, {"scale", "V", "the normalised dims of X"}},
    .outputs = {{"Y", "V", "shape of X"}, {"inv_std_var", "f32", "not supported"}},
    .attributes = {{"axis", AttributeType::integer, -1, "first normalised axis"},
                   {"epsilon", AttributeType::real, 1e-5f, "added to the mean square"},
                   {"stash_type", AttributeType::integer, 1, "type of the statistics; they are f32 or wider here"}},
    .types = {{"T", dtypes::floats}, {"V", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
