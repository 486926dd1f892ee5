#pragma once
// A tile of queries as the backward pass needs it: rows and panels of q and dy, and per query what turns scores into
// probabilities and gradients (score_gradients.h).
#include "ops/attention/online_softmax.h"
#include "ops/attention/score_gradients.h"
#include "runtime/op/scratch.h"

namespace tessera::attention {

// Row of [batch, q_heads, q_len].
inline std::int64_t flat_row(const AttentionShape& shape, std::int64_t batch, std::int64_t head, std::int64_t query) {
  return (batch * shape.q_heads + head) * shape.q_len + query;
}

template <class T>
struct QueryTile {
  using C = Compute<T>;
  static constexpr int lanes = kBlockLanes<C>;
  static constexpr int vector = simd::kLanes<C>;

  // Memory, the caller's.
  std::int64_t q_pitch, v_pitch;
  C *q_rows, *dy_rows;    // [kTileQueries][pitch], zeros beyond dim
  C *q_panel, *dy_panel;  // per block [dim][lanes]

  int count, blocks;
  QueryBlock<T> block[kTileBlocks<C>];
  std::int64_t any_limit;  // no key from here on is causally visible
  C shift[kTileQueries], norm[kTileQueries], delta[kTileQueries];

  // Takes up rows [first_row, end_row) of a row set, or as many of them as a tile has.
  void begin(const Problem<T>& problem, std::int64_t batch, std::int64_t set, std::int64_t first_row,
             std::int64_t end_row) {
    count = static_cast<int>(std::min<std::int64_t>(kTileQueries, end_row - first_row));
    blocks = (count + lanes - 1) / lanes;
    any_limit = 0;
    for (int b = 0; b < blocks; ++b) {
      block[b] = query_block(problem, batch, set, first_row + b * lanes, std::min(lanes, count - b * lanes));
      any_limit = std::max(any_limit, block[b].any_limit);
    }
  }

  // Their rows, panels and states; states: by flat_row.
  void load(const Problem<T>& problem, AttentionView<const T> dy, const QueryState<C>* states) {
    const auto& shape = problem.shape;
    for (int b = 0; b < blocks; ++b) {
      const int first = b * lanes;
      const C *q_from[lanes], *dy_from[lanes];
      for (int i = 0; i < block[b].vectors * vector; ++i) {
        const int row = first + std::min(i, block[b].count - 1);
        q_from[i] = q_rows + row * q_pitch;
        dy_from[i] = dy_rows + row * v_pitch;
        if (i < block[b].count) {
          load_query(problem, dy, states, block[b], i, row);
        } else {
          delta[first + i] = norm[first + i] = shift[first + i] = C(0);
        }
      }
      pack_panel<C>(q_from, 1, shape.qk_dim, block[b].vectors, Rows<C>{q_panel + first * shape.qk_dim, lanes});
      pack_panel<C>(dy_from, 1, shape.v_dim, block[b].vectors, Rows<C>{dy_panel + first * shape.v_dim, lanes});
    }
  }

 private:
  // Query `lane` of block `from`, which is query `row` of the tile.
  void load_query(const Problem<T>& problem, AttentionView<const T> dy, const QueryState<C>* states,
                  const QueryBlock<T>& from, int lane, int row) {
    const auto& shape = problem.shape;
    const std::int64_t head = from.heads[lane], query = from.queries[lane];
    copy_padded(problem.q.row(from.batch, head, query), shape.qk_dim, q_pitch, q_rows + row * q_pitch);
    copy_padded(dy.row(from.batch, head, query), shape.v_dim, v_pitch, dy_rows + row * v_pitch);
    const auto& state = states[flat_row(shape, from.batch, head, query)];
    shift[row] = state.shift, norm[row] = state.norm, delta[row] = state.delta;
  }
};

// The states of a block of queries; y: forward's result. Where lse is too coarse, from the scores themselves.
template <class T>
class QueryStates {
 public:
  using C = Compute<T>;
  QueryStates(const Problem<T>& problem, AttentionView<const T> y, AttentionView<const T> dy, const C* lse,
              const C* dlse)
      : problem_(problem), y_(y), dy_(dy), lse_(lse), dlse_(dlse) {}

  void write(std::int64_t set, const QueryBlock<T>& block, QueryState<C>* states) const {
    const auto& shape = problem_.shape;
    bool coarse = false;
    for (int i = 0; i < block.count; ++i) {
      const std::int64_t head = block.heads[i], query = block.queries[i];
      const std::int64_t at = flat_row(shape, block.batch, head, query);
      const C change = dot<C>(dy_.row(block.batch, head, query), y_.row(block.batch, head, query), shape.v_dim) -
                       (dlse_ != nullptr ? dlse_[at] : C(0));
      const bool seen = lse_[at] != -std::numeric_limits<C>::infinity();  // else y may be NaN, see UndefinedRows
      states[at] = {probability_shift(lse_[at], problem_.natural), C(1), seen ? change : C(0)};
      coarse = coarse || coarse_lse(lse_[at]);
    }
    if (coarse) redo_statistics(set, block, states);
  }

 private:
  static constexpr int lanes = kBlockLanes<C>;

  void redo_statistics(std::int64_t set, const QueryBlock<T>& block, QueryState<C>* states) const {
    const auto& shape = problem_.shape;
    constexpr bool converts = !std::is_same_v<T, C>;
    const std::int64_t copies = converts ? kTileKeys * copy_pitch<C>(shape.qk_dim) : 0;
    const Scratch<C> memory(lanes * (shape.qk_dim + 2 * kTileKeys) + copies);
    C *const panel = memory.data(), *const s = panel + lanes * shape.qk_dim, *const extra = s + lanes * kTileKeys,
             *const k_copy = converts ? extra + lanes * kTileKeys : nullptr;
    const T* rows[lanes];
    for (int i = 0; i < block.vectors * simd::kLanes<C>; ++i) {
      const int query = std::min(i, block.count - 1);
      rows[i] = problem_.q.row(block.batch, block.heads[query], block.queries[query]);
    }
    pack_panel<C>(rows, 1, shape.qk_dim, block.vectors, Rows<C>{panel, lanes});
    OnlineSoftmax<C> state;
    state.begin(nullptr, 0, block.vectors);
    const KeyRange valid = valid_keys(problem_, block.batch, set);
    const std::int64_t end = std::min(valid.end, block.any_limit);
    for (std::int64_t key = valid.begin; key < end; key += kTileKeys) {
      const int keys = static_cast<int>(std::min<std::int64_t>(kTileKeys, end - key));
      const auto k = rows_as<C>(problem_.k.row(block.batch, problem_.kv_head(set), key), problem_.k.row_stride, keys,
                                shape.qk_dim, k_copy);
      if (score_tile(problem_, block, key, keys, k, Rows<const C>{panel, lanes}, Rows<C>{s, lanes}, extra))
        state.add_weights(s, keys, problem_.unit);
    }
    for (int i = 0; i < block.count; ++i) {
      if (state.weight[i] == C(0)) continue;
      auto& to = states[flat_row(shape, block.batch, block.heads[i], block.queries[i])];
      to.shift = state.top[i], to.norm = C(1) / state.weight[i];
    }
  }

  const Problem<T>& problem_;
  AttentionView<const T> y_, dy_;
  const C *lse_, *dlse_;
};

}  // namespace tessera::attention
