#pragma once
// LayerNorm and RMSNorm as exporters spell them before opset 17 and 23:
//
//   d = x - ReduceMean(x)   (RMSNorm: d = x)
//   y = d / Sqrt(ReduceMean(d^2) + epsilon) [* scale] [+ bias]
//
// d^2 as Pow or Mul; the division as Div, or Mul by Reciprocal, by Div(1, .) or by Pow(., -0.5); constants on either
// side; statistics in a wider type between Casts. Source: what torch 1.x and 2.x, diffusers and transformers export.
#include "runtime/pass/replace_matches.h"

namespace tessera {

enum class Norm { layer, rms };

struct NormalizationChain {
  ValueId x, scale = ValueId::none, bias = ValueId::none, result;
  int axis = 0;  // first normalised axis, from 0
  double epsilon = 0;
  NodeId last;                // the node that computes `result`
  std::vector<NodeId> nodes;  // that it stands for
  Attributes attributes() const { return {{"axis", std::int64_t{axis}}, {"epsilon", static_cast<float>(epsilon)}}; }
};

// The chain whose division (or multiplication by the inverse) is node n. Where it has the form but cannot be replaced,
// nothing, and the reason.
template <Norm norm>
std::optional<NormalizationChain> normalization_chain(const Graph& g, const Uses& uses, NodeId n, std::string& reason);

}  // namespace tessera
