#include "runtime/pass/normalization_chain.h"

namespace tessera {
namespace {

ValueId write(Edit& edit, const NormalizationChain& c) {
  std::vector<ValueId> in{c.x, scale_of(edit, c), c.bias};
  while (in.back() == ValueId::none) in.pop_back();
  return edit.node("LayerNormalization", std::move(in), c.attributes());
}

}  // namespace

const PassDef fuse_layer_normalization_pass{
    .name = "fuse_layer_normalization",
    .doc =
        "Makes one LayerNormalization of ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div [, Mul, Add] and its "
        "other spellings, as written for opsets below 17.",
    .source = "Ba et al. 2016, arXiv:1607.06450; torch.onnx exports",
    .run =
        [](Graph& g, const Registry& registry) {
          return replace_matches(g, registry, normalization_chain<Norm::layer>, write);
        },
    .examples = {{"x: f32[2x8], w, b: f32[8]",
                  "d = Sub(x, ReduceMean(x, i64{-1})); "
                  "y = Div(d, Sqrt(Add(ReduceMean(Pow(d, 2), i64{-1}), 1e-5))); "
                  "Add(Mul(y, w), b)",
                  "LayerNormalization(x, w, b, axis=1)"}},
    .near_misses = near_chains<Norm::layer>,
};

}  // namespace tessera
