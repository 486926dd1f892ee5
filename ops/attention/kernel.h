#pragma once
// Dense scaled-dot-product attention, forward and backward, for every operand layout whose last axis is contiguous.
//
//   s = scale * q.k;  s = softcap * tanh(s / softcap) if softcap > 0;  s += bias;  hidden keys get -inf;
//   p = softmax(s);   y = p v;   lse = log(sum(exp(s)))
//
// Tiles of queries (forward: 96 to 384, larger where there are many; backward: 96) against tiles of 128 keys with
// online softmax (Milakov & Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135; Dao 2023,
// arXiv:2307.08691); nothing of size q_len x kv_len is allocated. Where K and V are widened, or in a build for 16
// registers for several blocks of queries, they are copied: forward copies whole kv heads, some at a time, as packs
// (packs.h), if several tiles of queries read them, and tile by tile otherwise; backward tile by tile. Forward takes
// fewer than 16 queries of a kv head one by one instead, see few_queries.h.
//
// T is float, double, f16 or bf16; products and softmax are computed in Compute<T> (f32, and f64 for double), of
// operands that are widened first. One exception: where the CPU multiplies bf16 (AVX-512 BF16), forward multiplies bf16
// as it is, and the probabilities of a tile, counted from the running maximum, are rounded to bf16 before they meet V
// (relative error 2^-8 at most); sums, softmax and lse stay f32. See bf16_queries.h. Backward widens on every CPU. The
// functions may be called from several threads at once; they spread their work with run_parallel and give the same bits
// for any number of threads. Operands must stay alive during the call, outputs must not overlap anything. Sizes may be
// 0. Shapes are the caller's to check; the functions throw Error when memory runs out, nothing else.
#include <algorithm>
#include <array>
#include <cstdint>

#include "runtime/tensor/half.h"

namespace tessera {

// A [batch, heads, length, dim] tensor where it lies: strides in elements, any sign or order, the stride of dim is 1.
// A [B,L,H,D] buffer has head_stride = D and row_stride = H * D.
template <class T>
struct AttentionView {
  T* data = nullptr;
  std::int64_t batch_stride = 0, head_stride = 0, row_stride = 0;
  T* row(std::int64_t batch, std::int64_t head, std::int64_t i) const {
    return data + batch * batch_stride + head * head_stride + i * row_stride;
  }
  // Whether the rows of all heads of a token lie in order: serving them together reads memory in the order of
  // addresses.
  bool side_by_side(std::int64_t heads) const { return head_stride > 0 && head_stride * heads <= row_stride; }
};

// q [batch, q_heads, q_len, qk_dim], k [batch, kv_heads, kv_len, qk_dim], v [batch, kv_heads, kv_len, v_dim],
// y [batch, q_heads, q_len, v_dim]. q_heads is a multiple of kv_heads: query head h reads kv head h / group().
struct AttentionShape {
  std::int64_t batch, q_heads, kv_heads, q_len, kv_len, qk_dim, v_dim;
  std::int64_t group() const { return kv_heads > 0 ? q_heads / kv_heads : 1; }
};

// What each query may see and what is added to its scores; every part is optional.
template <class T>
struct AttentionMask {
  // [batch, q_heads, q_len, kv_len] with these strides in elements, 0 = broadcast. -inf hides a key; any finite value,
  // however negative, is a number like others.
  const T* bias = nullptr;
  std::array<std::int64_t, 4> bias_strides{};
  // The same for booleans: 1 = attend, 0 = hidden (its score is not looked at).
  const std::uint8_t* keep = nullptr;
  std::array<std::int64_t, 4> keep_strides{};
  // Key j is visible to query i iff j <= i + offset; one offset per batch entry, null = 0.
  bool causal = false;
  const std::int64_t* causal_offset = nullptr;
  // Number of valid keys per batch entry, clamped to [0, kv_len]; null = kv_len. K and V beyond are never read.
  const std::int64_t* kv_lengths = nullptr;

  // Of the first `keys` keys, those below this are visible as far as causality goes.
  std::int64_t causal_limit(std::int64_t batch, std::int64_t query, std::int64_t keys) const {
    return causal ? std::clamp<std::int64_t>(query + (causal_offset ? causal_offset[batch] : 0) + 1, 0, keys) : keys;
  }
};

// Forward. lse: [batch, q_heads, q_len] contiguous, natural logarithm, or null. softcap = 0 means none.
//
// A query that sees no key gets y = 0 and lse = -inf. NaN in a query's scores, or in a V row of a tile it works on,
// gives NaN in that query's row. Never read: K and V beyond kv_lengths, beyond the last key that is causally visible to
// any query of a tile (of the head, where whole heads are copied), and before the first or after the last key of a
// `keep` that is broadcast over queries (of all query heads of the kv head, then); other tiles whose keys are hidden
// (keep, bias = -inf) from all queries of a block take no time.
//
// Memory per thread: 4 * (384 * (qk_dim + v_dim) + 48 * 128) bytes (0.42 MB at dim 128), 4 * 48 * 128 more with bias or
// keep, 4 * 128 * (qk_dim + v_dim) more where tiles are copied. Copies of whole heads, for the call: of as many kv
// heads as fit into 64 MB, but at least one; a row takes 4 * dim bytes, one of V rounded up to 4 or 8 elements.
// When there are fewer than 32 tiles of queries (decoding), keys are split in chunks, merged by lse: at most 64 *
// max(96, q_heads * q_len) * (v_dim + 1) values for the call. Where few queries are taken one by one, 4 * (qk_dim +
// v_dim + 290) bytes for each of a kv head, or of all heads of a token where these lie side by side: then one thread
// reads all of it, in the order of addresses.
template <class T>
void attention_forward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                       AttentionView<const T> v, const AttentionMask<T>& mask, double scale, double softcap,
                       AttentionView<T> y, Compute<T>* lse);

template <class T>
struct AttentionGradients {
  AttentionView<T> dq, dk, dv;  // shaped like q, k, v; overwritten
  // Shaped like the bias, with its strides, or null. Added to, so the caller zeroes it; broadcast axes are summed over.
  Compute<T>* dbias = nullptr;
};

// Backward: gradients of sum(y * dy) + sum(lse * dlse), from forward's operands and its results y and lse. dlse may be
// null. Five products per tile; no probabilities are kept from forward. lse = -inf marks a query without keys.
// What forward never reads, backward never reads either, and its dk and dv are 0.
//
// Threads take (batch, kv head, range of keys, range of queries), in rounds in which no two tasks share keys or
// queries; a round has 64 tasks or more where sizes allow. A dbias that is summed over batch or heads is computed one
// batch entry or kv head after the other.
//
// Memory per thread: 4 * (96 * (4 qk_dim + 3 v_dim + 256) + 48 * 128) bytes (0.5 MB at dim 128). For the call: 12 bytes
// per query; dk and dv once more where their rows do not lie one after another; f32 sums of dq, dk and dv for 16-bit
// types.
template <class T>
void attention_backward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                        AttentionView<const T> v, const AttentionMask<T>& mask, double scale, double softcap,
                        AttentionView<const T> y, const Compute<T>* lse, AttentionView<const T> dy,
                        const AttentionGradients<T>& gradients, const Compute<T>* dlse = nullptr);

}  // namespace tessera
