#pragma once
// Rotary position embedding as exporters spell it. With pairs (a, b) of features, (a c - b s, a s + b c) joined again:
//
//   stack     a, b = x[..., 0::2], x[..., 1::2] by Slice, Gather or Split; Unsqueeze both, Concat (interleaved)
//   scatter   the same a and b; ScatterND of both into a constant (interleaved)
//   chunk     a, b = the halves of x; Concat (halves)
//   half      x C + Concat(-b, a) S, with tables C and S as wide as x (halves, or interleaved with Unsqueeze)
//
// Source: exports of diffusers (Wan, Flux, Hunyuan), transformers (LLaMA) and Wan2.1.
#include "runtime/pass/replace_matches.h"

namespace tessera {

struct Rotation {
  NodeId last;
  ValueId result;
  std::vector<NodeId> nodes;
  ValueId x;  // its elements are [batch x .. x .. x D], whatever its shape
  bool interleaved = false;
  std::int64_t batch = 1, heads = 1, tokens = 1, half = 0;
  bool heads_first = false;  // [B x H x L x D], else [B x L x H x D]
  ValueId cos, sin;          // [table_batch x tokens x half] but for axes of 1; twice as wide where `wide`
  std::int64_t table_batch = 1;
  bool wide = false;  // a pair's two entries are equal
};

std::optional<Rotation> rotation(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest);

}  // namespace tessera
