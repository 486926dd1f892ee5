#include "runtime/pass/normalization_chain.h"

namespace tessera {
namespace {

ValueId write(Edit& edit, const NormalizationChain& c) {
  ValueId scale = c.scale;
  if (scale == ValueId::none) {
    const std::vector<float> ones(static_cast<std::size_t>(edit.shape(c.x)->back()), 1.0f);
    scale = edit.constant(converted(Tensor::vector<float>(ones), edit.dtype(c.result)));
  }
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
    .near_misses = [](const Graph& g) { return near_misses(g, normalization_chain<Norm::rms>); },
};

}  // namespace tessera
