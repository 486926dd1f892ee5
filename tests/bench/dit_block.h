#pragma once
// One block of a video diffusion transformer with the sizes of Wan2.1-1.3B (width 1536, 12 heads of 128, feed-forward
// 8960), spelled out as exporters write it: modulation by six vectors, self-attention with RMS-normalised q and k and
// rotary positions, cross-attention to 512 text tokens, feed-forward with the tanh form of GELU.
// Source: Wan-Video/Wan2.1, wan/modules/model.py (WanAttentionBlock).
#include "tests/bench/bench_model.h"

namespace tessera {

// How attention is written: com.microsoft MultiHeadAttention, or Transpose, MatMul, Softmax, MatMul, Transpose.
enum class BlockAttention { fused, decomposed };

// Writes the whole model: x [1, tokens, 1536] -> y, with e [1, 6, 1536], ctx [1, 512, 1536] and the rotation's
// cos and sin [1, tokens, 1, 64] as inputs. Does not call `finish`.
void write_dit_block(BenchModel& m, std::int64_t tokens, BlockAttention form);

}  // namespace tessera
