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
    .examples = {{"x: f32[2x8], w: f32[8]", "y = Div(x, Sqrt(Add(ReduceMean(Pow(x, 2), i64{-1}), 1e-6))); Mul(y, w)",
                  "RMSNormalization(x, w, axis=1, epsilon=1e-06)"}},
    .near_misses = near_chains<Norm::rms>,
};

}  // namespace tessera
