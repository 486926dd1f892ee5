#include "runtime/pass/normalization_chain.h"

namespace tessera {
namespace {

ValueId write(Edit& edit, const NormalizationChain& c) {
  ValueId scale = scale_of(edit, c);
  if (scale == ValueId::none) scale = even_scale(edit, c, 1);
  return edit.node("RMSNormalization", {c.x, scale}, c.attributes());
}

}  // namespace

const PassDef fuse_rms_normalization_pass{
    .name = "fuse_rms_normalization",
    .doc =
        "Makes one RMSNormalization of Pow, ReduceMean, Add, Sqrt, Div [, Mul] and its other spellings, as written for "
        "opsets below 23.",
    .source = "Zhang & Sennrich 2019, arXiv:1910.07467; torch.onnx exports",
    .run = [](Graph& g,
              const Registry& registry) { return replace_matches(g, registry, normalization_chain<Norm::rms>, write); },
    .near_misses = near_chains<Norm::rms>,
};

}  // namespace tessera
