#pragma once
// The output qk_matmul_output of attention: scores as the specification has them, stage by stage. Written plainly, of
// size Lq x Lk; it is for looking at.
#include "ops/attention/geometry.h"

namespace tessera {

// mode 0: scaled products, 1: with softcap, 2: with mask as well, 3: after the softmax. (ONNX 1.18 to 1.20 had 1 and 2
// the other way round and the softcap after the mask, where it would show hidden keys again; corrected for all versions
// of the operator.) scores: [batch, q_heads, q_len, kv_len].
template <class T>
void write_scores(const AttentionGeometry& g, AttentionView<const T> q, AttentionView<const T> k,
                  const AttentionMask<T>& mask, std::int64_t mode, T* scores);

}  // namespace tessera
