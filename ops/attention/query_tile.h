#pragma once
// A tile of queries as the backward pass needs it: rows and panels of q and dy, and per query what turns scores into
// probabilities and gradients (score_gradients.h).
#include "ops/attention/online_softmax.h"
#include "ops/attention/score_gradients.h"

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
  bool coarse;             // some lse is beyond kCoarse
  C shift[kTileQueries], norm[kTileQueries], delta[kTileQueries];

  // Takes up the tile that starts at first_row of a row set.
  void load(const Problem<T>& problem, AttentionView<const T> y, AttentionView<const T> dy, const C* lse, const C* dlse,
            std::int64_t batch, std::int64_t set, std::int64_t first_row) {
    const auto& shape = problem.shape;
    count = static_cast<int>(std::min<std::int64_t>(kTileQueries, problem.set_rows() - first_row));
    blocks = (count + lanes - 1) / lanes;
    any_limit = 0;
    coarse = false;
    for (int b = 0; b < blocks; ++b) {
      const int first = b * lanes;
      block[b] = query_block(problem, batch, set, first_row + first, std::min(lanes, count - first));
      any_limit = std::max(any_limit, block[b].any_limit);
      const C *q_from[lanes], *dy_from[lanes];
      for (int i = 0; i < block[b].vectors * vector; ++i) {
        const int row = first + std::min(i, block[b].count - 1);
        q_from[i] = q_rows + row * q_pitch;
        dy_from[i] = dy_rows + row * v_pitch;
        if (i < block[b].count) {
          load_query(problem, y, dy, lse, dlse, block[b], i, row);
        } else {
          delta[first + i] = norm[first + i] = shift[first + i] = C(0);
        }
      }
      pack_panel<C>(q_from, 1, shape.qk_dim, block[b].vectors, Rows<C>{q_panel + first * shape.qk_dim, lanes});
      pack_panel<C>(dy_from, 1, shape.v_dim, block[b].vectors, Rows<C>{dy_panel + first * shape.v_dim, lanes});
    }
  }

  // shift and norm from the scores themselves; s and extra [kTileKeys][lanes], k_copy as for rows_as.
  void redo_statistics(const Problem<T>& problem, std::int64_t set, C* s, C* extra, C* k_copy) {
    const auto& shape = problem.shape;
    const std::int64_t batch = block[0].batch, head = problem.kv_head(set);
    const KeyRange valid = valid_keys(problem, batch, set);
    for (int b = 0; b < blocks; ++b) {
      OnlineSoftmax<C> state;
      state.begin(nullptr, 0, block[b].vectors);
      const std::int64_t end = std::min(valid.end, block[b].any_limit);
      for (std::int64_t key = valid.begin; key < end; key += kTileKeys) {
        const int keys = static_cast<int>(std::min<std::int64_t>(kTileKeys, end - key));
        const auto k = rows_as<C>(problem.k.row(batch, head, key), problem.k.row_stride, keys, shape.qk_dim, k_copy);
        const Rows<const C> queries{q_panel + b * lanes * shape.qk_dim, lanes};
        if (!score_tile(problem, block[b], key, keys, k, queries, Rows<C>{s, lanes}, extra)) continue;
        state.add(s, keys, problem.unit, {nullptr, 0}, 0);
      }
      for (int i = 0; i < block[b].count; ++i) {
        if (state.weight[i] == C(0)) continue;
        shift[b * lanes + i] = state.top[i];
        norm[b * lanes + i] = C(1) / state.weight[i];
      }
    }
  }

 private:
  // Query `lane` of block `from`, which is query `row` of the tile.
  void load_query(const Problem<T>& problem, AttentionView<const T> y, AttentionView<const T> dy, const C* lse,
                  const C* dlse, const QueryBlock<T>& from, int lane, int row) {
    const auto& shape = problem.shape;
    const std::int64_t batch = from.batch, head = from.heads[lane], query = from.queries[lane];
    const T *q_in = problem.q.row(batch, head, query), *dy_in = dy.row(batch, head, query),
            *y_in = y.row(batch, head, query);
    copy_padded(q_in, shape.qk_dim, q_pitch, q_rows + row * q_pitch);
    copy_padded(dy_in, shape.v_dim, v_pitch, dy_rows + row * v_pitch);
    const std::int64_t at = flat_row(shape, batch, head, query);
    delta[row] = dot(dy_rows + row * v_pitch, y_in, shape.v_dim) - (dlse != nullptr ? dlse[at] : C(0));
    norm[row] = C(1);
    shift[row] = probability_shift(lse[at], problem.natural);
    coarse = coarse || coarse_lse(lse[at]);
  }
};

}  // namespace tessera::attention
