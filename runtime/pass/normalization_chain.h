#pragma once
// LayerNorm and RMSNorm as exporters spell them before opset 17 and 23:
//
//   d = x - mean(x)   (RMSNorm: d = x)
//   y = d * scale / sqrt(mean(d^2) + epsilon) [* scale] [+ bias]
//   y = x s + (bias - mean(x) s), s = scale / sqrt(mean(d^2) + epsilon)   (TensorFlow, Keras)
//
// Means as ReduceMean, ReduceSum, ReduceSumSquare or ReduceL2, times or divided by numbers; the variance also as
// mean(x^2) - mean(x)^2 (Flax); d^2 as Pow or Mul; the root as Sqrt or Pow, with Reciprocal, Div or Pow; the scale on
// either side, the epsilon may be missing; statistics in a wider type between Casts. Rounding differs in the last bits,
// and where the spelling cancels (x s - mean(x) s, mean(x^2) - mean(x)^2) the fused operator is the more exact one.
// Source: what torch 1.x and 2.x, TensorFlow, Keras, Flax, diffusers and transformers export.
#include "runtime/pass/replace_matches.h"

namespace tessera {

enum class Norm { layer, rms };

struct NormalizationChain {
  ValueId x = ValueId::none, scale = ValueId::none, bias = ValueId::none, result;
  double factor = 1;  // of the result, beside `scale`
  int axis = 0;       // first normalised axis, from 0
  double epsilon = 0;
  NodeId last;                // the node that computes `result`
  std::vector<NodeId> nodes;  // that it stands for
  Attributes attributes() const { return {{"axis", std::int64_t{axis}}, {"epsilon", static_cast<float>(epsilon)}}; }
};

// The chain whose division (or multiplication by the inverse) is node n.
template <Norm norm>
std::optional<NormalizationChain> normalization_chain(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest);

// What looks like one in a graph that the pass has left.
template <Norm norm>
std::vector<Miss> near_chains(const Graph& g) {
  return near_misses(g, normalization_chain<norm>, {"Sqrt", "ReduceL2"}, 2);
}

// `scale` times `factor`; none where that is 1.
ValueId scale_of(Edit& edit, const NormalizationChain& c);
// A scale of x everywhere.
ValueId even_scale(Edit& edit, const NormalizationChain& c, double x);

}  // namespace tessera
