#pragma once
// What the attentions of ONNX Runtime share on their way to ONNX Attention.
#include "runtime/op/context.h"

namespace tessera {

// The size of v along an axis, as a scalar.
ValueId size_of(NodeBuilder& b, ValueId v, std::int64_t axis);

// [B x L x H x D] -> [B x L x H*D], also where L is 0.
ValueId join_heads(NodeBuilder& b, ValueId v);

// [B x L x H*D] -> [B x H x L x D] for the given H, also where L is 0.
ValueId split_heads(NodeBuilder& b, ValueId v, std::int64_t heads);

// Its inverse: [B x H x L x D] -> [B x L x H*D].
ValueId merge_heads(NodeBuilder& b, ValueId v);

// What keys cost that a mask hides: 0, or `hidden` added to their scores. The mask is i32:
//   [B x keys]       not 0: attend
//   [B x Lq x keys]  the same by query
//   [B]              numbers of keys to attend to, from the first on
// As [B x 1 x 1 or Lq x keys], of q's type. Where the rank of the mask is not known before shapes are bound, it is
// taken for [B x keys]; another is an error then.
struct Padding {
  ValueId mask, q, keys;  // q [B x Lq x H*D]; keys: their number, a scalar
  bool cache;             // of keys before those of this call
  double hidden;
};
ValueId added_to_scores(NodeBuilder& b, const Padding& p);

}  // namespace tessera
