#pragma once
// Attention of tiles of queries to lists of tiles of keys, forward and backward: the kernel under every method that
// selects tiles.
//
//   for query u of tile i:   lse_u = log sum_j exp(scale q_u.k_j),   y_u = sum_j exp(scale q_u.k_j - lse_u) v_j,
//   j over all tokens of the key tiles in list(b, h, i); an empty list gives y = 0 and lse = -inf.
//
// T is float, double, f16 or bf16; sums in Compute<T>. Forward multiplies bf16 as it is where the CPU can and qk_dim is
// even, with probabilities rounded as in kernel.h. Operands are read through views, in the token order of the
// model. Nothing of size q_len x kv_len is allocated, and the work is proportional to the pairs in the lists.
//
// Tiles of consecutive tokens are read where they lie. Other K and V that lists name twice or more are brought into
// tiled order (or packs, packs.h), some heads at a time: 16 MB in forward, or one head's. Backward keeps q, dy and the
// gradients of scores for some queries, and K: 48 MB of them (as much again for every 8 threads that there are besides
// the first 8), or K of one head and one tile of queries; where that holds but a part of a head, dk and dv as well.
// Thread rule and determinism as in kernel.h: same bits for any number of threads. Source: Zhang et al. 2025,
// arXiv:2505.13389, section 3; Dao 2023, arXiv:2307.08691.
#include <vector>

#include "ops/attention/kernel.h"
#include "ops/attention/token_tiles.h"

namespace tessera {

// Row (batch * q_heads + head) * query_tiles + query_tile holds key tiles tile[begin[row]] ... tile[begin[row + 1] -
// 1], ascending, each at most once.
struct BlockLists {
  std::int64_t query_tiles = 0, key_tiles = 0;
  std::vector<std::int64_t> begin;
  std::vector<std::int32_t> tile;
  std::span<const std::int32_t> row(std::int64_t r) const {
    return {tile.data() + begin[r], static_cast<std::size_t>(begin[r + 1] - begin[r])};
  }
  std::span<const std::int32_t> row(std::int64_t batch_head, std::int64_t query_tile) const {
    return row(batch_head * query_tiles + query_tile);
  }
};

template <class T>
struct BlockSparse {
  AttentionShape shape;
  AttentionView<const T> q, k, v;
  double scale;
  const TokenTiles *query_tiles, *key_tiles;
  const BlockLists* lists;
  // Queries that are not computed, or null: [batch][q_heads][q_len] in tiled order; the query at place p takes the
  // output of the query at place source[p], which is in the same tile and its own source; -1: zeros. Its lse is -inf.
  const std::int32_t* source = nullptr;
};

// What a gate adds: y_u += gate_u * rows of the query's tile.
template <class T>
struct GatedRows {
  AttentionView<const T> gate{};
  const Compute<T>* rows = nullptr;  // [batch][q_heads][query tiles][v_dim]; null: nothing is added
};

// lse: [batch][q_heads][q_len] in token order, or null. A gate is not for problems with `source`.
template <class T>
void block_sparse_forward(const BlockSparse<T>& problem, AttentionView<T> y, Compute<T>* lse,
                          const GatedRows<T>& gated = {});

// Gradients of sum(y * dy) + sum(lse * dlse) with lists and source held constant: a copied query hands its dy to its
// source and has dq = 0. y and lse are forward's; dlse may be null. gradients.dbias must be null; dq, dk and dv are
// overwritten.
template <class T>
void block_sparse_backward(const BlockSparse<T>& problem, AttentionView<const T> y, const Compute<T>* lse,
                           AttentionView<const T> dy, const Compute<T>* dlse, const AttentionGradients<T>& gradients);

// Pairs (query, key) that are computed, per batch entry and query head: [batch][q_heads].
std::vector<std::int64_t> pairs_computed(const AttentionShape& shape, const TokenTiles& query_tiles,
                                         const TokenTiles& key_tiles, const BlockLists& lists,
                                         const std::int32_t* source);

}  // namespace tessera
