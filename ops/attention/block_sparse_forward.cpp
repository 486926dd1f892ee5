// Queries of a tile stand in lanes, the keys of its list come by in panels, as in dense attention (forward.cpp).
#include "ops/attention/bf16_kernels.h"
#include "ops/attention/block_sparse.h"
#include "ops/attention/block_sparse_keys.h"
#include "ops/attention/online_softmax.h"
#include "runtime/base/parts.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace attention {
namespace {

// Of K and V in tiled order at a time, for each cache, if one head fits: they are read again while the cache has them.
constexpr std::int64_t kCopyBytes = std::int64_t{16} << 20;

// S: what operands of the products are: Compute<T>, or bf16 where the CPU multiplies bf16.
template <class T, class S>
struct Forward {
  using C = Compute<T>;
  static constexpr int lanes = kBlockLanes<C>;
  static constexpr bool paired = std::is_same_v<S, bf16>;

  const BlockSparse<T>& problem;
  AttentionView<T> y;
  C* lse;
  const GatedRows<T>& gated;

  void run(const KeySource<T, S>& keys, const RowGroup& group, const std::int32_t* places,
           std::span<const std::int32_t> then) const;
  void store(const RowGroup& group, const std::int32_t* places, int count, OnlineSoftmax<C>& state) const;
  void fill(std::int64_t batch, std::int64_t head, std::int64_t tile) const;
};

// One task: a group of queries against its list.
template <class T, class S>
void Forward<T, S>::run(const KeySource<T, S>& keys, const RowGroup& group, const std::int32_t* places,
                        std::span<const std::int32_t> then) const {
  const auto& shape = problem.shape;
  const LaneBlocks<C> in(group.count);
  const std::int64_t acc = shape.v_dim * lanes, head = group.batch * shape.q_heads + group.head;
  const std::int64_t panel = shape.qk_dim * lanes, key = row_size<S>(shape);
  const Scratch<C> sums(in.blocks() * acc + kTileKeys * lanes);
  const Scratch<S> operands(in.blocks() * panel + kTileKeys * (key + (paired ? lanes + shape.v_dim : 0)));
  C* const s = sums.data() + in.blocks() * acc;
  S* const gathered = operands.data() + in.blocks() * panel;

  const auto token = [&](int i) { return problem.query_tiles->order[places[std::min(i, group.count - 1)]]; };
  Rows<S> queries[kTileBlocks<C>];
  OnlineSoftmax<C> state[kTileBlocks<C>];
  for (int b = 0; b < in.blocks(); ++b) {
    const T* rows[lanes];
    for (int i = 0; i < in.vectors(b) * in.vector; ++i)
      rows[i] = problem.q.row(group.batch, group.head, token(in.first(b) + i));
    queries[b] = {operands.data() + b * panel, in.vectors(b) * in.vector};
    if constexpr (paired) {
      pack_query_pairs(rows, shape.qk_dim, in.vectors(b), queries[b].data);
    } else {
      pack_panel<C>(rows, 1, shape.qk_dim, in.vectors(b), queries[b]);
    }
    state[b].begin(sums.data() + b * acc, shape.v_dim, in.vectors(b));
  }

  const C factor = static_cast<C>(problem.scale * std::numbers::log2e);  // scores are kept in base 2
  keys.for_each_panel(problem.lists->row(head, group.tile), then, gathered, [&](const auto& at) {
    if constexpr (paired) {
      bf16 *const p = gathered + kTileKeys * key, *const values = p + kTileKeys * lanes;
      pack_value_pairs(at.v, at.count, shape.v_dim, values, at.ahead_v);
      for (int b = 0; b < in.blocks(); ++b) {
        pair_scores(at.qk, at.count, queries[b].data, in.vectors(b), shape.qk_dim, factor, {s, lanes}, at.ahead_qk);
        state[b].add_weights(s, at.count, C(1));
        pack_probabilities(s, at.count, in.vectors(b), p);
        pair_accumulate(values, at.count, shape.v_dim, p, in.vectors(b), state[b].alpha, {state[b].acc, lanes});
      }
    } else {
      for (int b = 0; b < in.blocks(); ++b) {
        tile_scores<C>(at.qk, at.count, {queries[b].data, queries[b].stride}, in.vectors(b), shape.qk_dim, factor,
                       {s, lanes}, at.ahead_qk);
        state[b].add(s, at.count, C(1), at.v, shape.v_dim, at.ahead_v);
      }
    }
  });

  for (int b = 0; b < in.blocks(); ++b) store(group, places + in.first(b), in.queries(b), state[b]);
}

// Results of the first `count` queries in lanes.
template <class T, class S>
void Forward<T, S>::store(const RowGroup& group, const std::int32_t* places, int count, OnlineSoftmax<C>& state) const {
  const std::int64_t v_dim = problem.shape.v_dim, head = group.batch * problem.shape.q_heads + group.head;
  C inverse[lanes]{}, log_sum[lanes];
  T* rows[lanes];
  const T* gates[lanes];
  state.finish(std::numbers::ln2_v<C>, v_dim, count, inverse, log_sum);
  for (int i = 0; i < count; ++i) {
    const std::int64_t token = problem.query_tiles->order[places[i]];
    rows[i] = y.row(group.batch, group.head, token);
    if (gated.rows != nullptr) gates[i] = gated.gate.row(group.batch, group.head, token);
    if (lse != nullptr) lse[head * problem.shape.q_len + token] = log_sum[i];
  }
  const Rows<const C> panel{state.acc, lanes};
  if (gated.rows == nullptr) return unpack_panel<C>(panel, inverse, count, v_dim, rows);
  const C* const tile_row = gated.rows + (head * problem.query_tiles->tiles() + group.tile) * v_dim;
  unpack_panel<C>(panel, inverse, count, v_dim, rows, [&](int i, std::int64_t c, auto x) {
    if constexpr (std::is_same_v<decltype(x), C>) {
      return x + static_cast<C>(gates[i][c]) * tile_row[c];
    } else {
      return simd::multiply_add<C>(simd::load_as<C>(gates[i] + c), simd::load(tile_row + c), x);
    }
  });
}

// The queries of a tile that are copies, or zeros.
template <class T, class S>
void Forward<T, S>::fill(std::int64_t batch, std::int64_t head, std::int64_t tile) const {
  const auto& shape = problem.shape;
  const auto& tiles = *problem.query_tiles;
  const std::int64_t row = (batch * shape.q_heads + head) * shape.q_len;
  for (std::int32_t place = tiles.first[tile]; place < tiles.first[tile + 1]; ++place) {
    const std::int32_t source = problem.source[row + place], token = tiles.order[place];
    if (source == place) continue;
    T* const to = y.row(batch, head, token);
    if (source < 0) {
      std::fill_n(to, shape.v_dim, T{});
    } else {
      std::copy_n(y.row(batch, head, tiles.order[source]), shape.v_dim, to);
    }
    if (lse != nullptr) lse[row + token] = -std::numeric_limits<C>::infinity();
  }
}

template <class T, class S>
void run_forward(const BlockSparse<T>& problem, AttentionView<T> y, Compute<T>* lse, const GatedRows<T>& gated) {
  const auto& shape = problem.shape;
  const Forward<T, S> task{problem, y, lse, gated};
  const std::int64_t pairs = shape.batch * shape.kv_heads, heads = shape.group();
  const std::int64_t copy = copied_size<T, S>(problem);
  const std::int64_t fit = caches_of_threads() * kCopyBytes / (static_cast<std::int64_t>(sizeof(S)) * copy + 1);
  const std::int64_t together = even_part(pairs, std::max<std::int64_t>(fit, 1));
  const Scratch<S> memory(std::min(pairs, together) * copy);
  for (std::int64_t begin = 0, end; begin < pairs; begin = end) {
    end = std::min(pairs, begin + together);
    const KeySources<T, S> keys(problem, begin, end, memory.data());
    const std::int64_t lists = heads * problem.query_tiles->tiles();
    const auto rows = tile_rows(shape.q_heads, *problem.query_tiles, problem.source, begin * lists, end * lists,
                                simd::kLanes<Compute<T>>);
    const auto list = [&](const RowGroup& group) {
      return problem.lists->row(group.batch * shape.q_heads + group.head, group.tile);
    };
    const auto order = longest_first(std::ssize(rows.groups), [&](std::int64_t i) {
      return rows.groups[i].count * listed_rows(problem.key_tiles->first.data(), list(rows.groups[i]));
    });
    run_parallel(std::ssize(order), 1, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from; i < to; ++i) {
        const auto& group = rows.groups[order[i]];
        const auto then = i + 1 < std::ssize(order) ? list(rows.groups[order[i + 1]]) : std::span<const std::int32_t>{};
        task.run(keys.of(group.batch * shape.kv_heads + group.head / heads), group, rows.places.data() + group.first,
                 then);
      }
    });
  }
  if (problem.source == nullptr) return;
  const std::int64_t tiles = problem.query_tiles->tiles();
  run_parallel(shape.batch * shape.q_heads * tiles, 8, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i < to; ++i) task.fill(i / tiles / shape.q_heads, i / tiles % shape.q_heads, i % tiles);
  });
}

}  // namespace
}  // namespace attention

template <class T>
void block_sparse_forward(const BlockSparse<T>& problem, AttentionView<T> y, Compute<T>* lse,
                          const GatedRows<T>& gated) {
  if constexpr (std::is_same_v<T, bf16>) {  // rows of K are read as pairs
    if (simd::multiplies_pairs() && problem.shape.qk_dim % 2 == 0)
      return attention::run_forward<bf16, bf16>(problem, y, lse, gated);
  }
  attention::run_forward<T, Compute<T>>(problem, y, lse, gated);
}

template void block_sparse_forward(const BlockSparse<float>&, AttentionView<float>, float*, const GatedRows<float>&);
template void block_sparse_forward(const BlockSparse<double>&, AttentionView<double>, double*,
                                   const GatedRows<double>&);
template void block_sparse_forward(const BlockSparse<f16>&, AttentionView<f16>, float*, const GatedRows<f16>&);
template void block_sparse_forward(const BlockSparse<bf16>&, AttentionView<bf16>, float*, const GatedRows<bf16>&);

}  // namespace tessera
