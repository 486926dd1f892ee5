#pragma once
// Which queries stand in the lanes of a block, and the scores of such a block against a tile of keys.
#include <algorithm>
#include <limits>
#include <numbers>

#include "ops/attention/kernel.h"
#include "ops/attention/panel.h"

namespace tessera::attention {

inline constexpr int kTileQueries = 96;   // queries of one task: K and V of a tile are read once for all of them
inline constexpr int kMostQueries = 384;  // of one task where there are many, see forward.cpp
inline constexpr int kTileKeys = 128;     // K and V of a tile stay in L2, its scores against one block in L1
inline constexpr int kScoresAhead = 16;   // rows of K asked for before their turn: more would push V out of L2

template <class C>
inline constexpr int kTileBlocks = (kTileQueries + kBlockLanes<C> - 1) / kBlockLanes<C>;
template <class C>
inline constexpr int kMostBlocks = kMostQueries / kBlockLanes<C>;

// One call: operands, and how scores are counted. Without bias, scores are kept in base 2 (log2(e) folded into the
// factor that follows the product), so that p = 2^(s - max). A bias must not be rescaled (finfo.min would overflow):
// then scores are natural and p = 2^((s - max) log2(e)).
template <class T>
struct Problem {
  using C = Compute<T>;
  AttentionShape shape;
  AttentionView<const T> q, k, v;
  AttentionMask<T> mask;
  C factor;     // of q.k; what tanh sees when there is a softcap
  C cap;        // softcap in score units, 0 = none
  C unit;       // base-2 logarithms per score unit: 1 or log2(e)
  C natural;    // natural logarithms per score unit: ln(2) or 1
  bool folded;  // the query heads of a kv head lie one after another in the rows of a tile, so that K is read once

  Problem(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k, AttentionView<const T> v,
          const AttentionMask<T>& mask, double scale, double softcap)
      : shape(shape), q(q), k(k), v(v), mask(mask) {
    const double base = mask.bias != nullptr ? 1.0 : std::numbers::log2e;
    factor = static_cast<C>(softcap > 0 ? scale / softcap : scale * base);
    cap = static_cast<C>(softcap > 0 ? softcap * base : 0.0);
    unit = static_cast<C>(std::numbers::log2e / base);
    natural = static_cast<C>(mask.bias != nullptr ? 1.0 : std::numbers::ln2);
    folded = shape.group() > 1 && shape.q_len <= kBlockLanes<C>;
  }
  // Tiles of queries never mix row sets; a row set is a query head, or all query heads of a kv head when folded.
  std::int64_t row_sets() const { return shape.kv_heads * sets_of_head(); }
  std::int64_t sets_of_head() const { return folded ? 1 : shape.group(); }  // row sets that read a kv head
  std::int64_t set_rows() const { return folded ? shape.group() * shape.q_len : shape.q_len; }
  std::int64_t kv_head(std::int64_t set) const { return set / sets_of_head(); }
  std::int64_t head(std::int64_t set, std::int64_t row) const {
    return folded ? set * shape.group() + row / shape.q_len : set;
  }
  std::int64_t query(std::int64_t row) const { return folded ? row % shape.q_len : row; }
};

// Keys [begin, end).
struct KeyRange {
  std::int64_t begin, end;
};

// The keys that a query of batch entry `batch` and row set `set` can see at all, causality apart.
template <class T>
KeyRange valid_keys(const Problem<T>& problem, std::int64_t batch, std::int64_t set);

// Up to kBlockLanes queries. Lanes from `count` on repeat the last query: what they compute is never looked at.
template <class T>
struct QueryBlock {
  static constexpr int lanes = kBlockLanes<Compute<T>>;
  int count, vectors;
  std::int64_t batch;
  std::int64_t heads[lanes], queries[lanes];
  std::int64_t limits[lanes];         // keys below are causally visible
  std::int64_t all_limit, any_limit;  // least and greatest of them
  const T* bias_rows[lanes];
  const std::uint8_t* keep_rows[lanes];
};

template <class T>
QueryBlock<T> query_block(const Problem<T>& problem, std::int64_t batch, std::int64_t set, std::int64_t first_row,
                          int count);

// What the masks hide from a block of queries in a tile of keys.
struct Visible {
  bool any;   // some query sees some key
  bool keep;  // `keep` hides some key from some query
};

// `extra`, of kTileKeys * kBlockLanes, receives the biases of the tile.
template <class T>
Visible visible(const Problem<T>& problem, const QueryBlock<T>& block, std::int64_t key0, int key_count,
                Compute<T>* extra);

// Turns products, factor included, into scores: s[j][i] = score of query i of the block and key key0 + j, -inf where
// hidden. `extra` is as `visible` left it.
template <class T>
void mask_tile(const Problem<T>& problem, const QueryBlock<T>& block, std::int64_t key0, int key_count,
               const Visible& visible, Rows<Compute<T>> s, Compute<T>* extra, Compute<T>* tanh = nullptr);

// s[j][i] = score of query i of the block and key key0 + j, -inf where hidden. `k` holds the rows of these keys and
// `queries` the packed block; `extra` is working space as large as s. If `tanh` is given and there is a softcap, it
// receives tanh(scale q.k / softcap). Returns false, writing nothing, if no query of the block sees any of the keys.
template <class T>
bool score_tile(const Problem<T>& problem, const QueryBlock<T>& block, std::int64_t key0, int key_count,
                Rows<const Compute<T>> k, Rows<const Compute<T>> queries, Rows<Compute<T>> s, Compute<T>* extra,
                Compute<T>* tanh = nullptr);

}  // namespace tessera::attention
