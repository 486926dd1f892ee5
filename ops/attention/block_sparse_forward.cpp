// Queries of a tile stand in lanes, the keys of its list come by in panels, as in dense attention (forward.cpp).
#include "ops/attention/block_sparse.h"
#include "ops/attention/block_sparse_keys.h"
#include "ops/attention/online_softmax.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace attention {
namespace {

constexpr std::int64_t kCopyBytes = std::int64_t{16} << 20;  // of K and V in tiled order at a time, if one head fits

template <class T>
struct Forward {
  using C = Compute<T>;
  static constexpr int lanes = kBlockLanes<C>;

  const BlockSparse<T>& problem;
  AttentionView<T> y;
  C* lse;

  void run(const KeySource<T>& keys, const RowGroup& group, const std::int32_t* places,
           std::span<const std::int32_t> then) const;
  void fill(std::int64_t batch, std::int64_t head, std::int64_t tile) const;
};

// One task: a group of queries against its list.
template <class T>
void Forward<T>::run(const KeySource<T>& keys, const RowGroup& group, const std::int32_t* places,
                     std::span<const std::int32_t> then) const {
  const auto& shape = problem.shape;
  const LaneBlocks<C> in(group.count);
  const std::int64_t acc = shape.v_dim * lanes, head = group.batch * shape.q_heads + group.head;
  const Scratch<C> memory(in.lanes() * shape.qk_dim + in.blocks() * acc + kTileKeys * (lanes + key_size<C>(shape)));
  C* const sums = memory.data() + in.lanes() * shape.qk_dim;
  C* const s = sums + in.blocks() * acc;
  C* const gathered = s + kTileKeys * lanes;

  const auto token = [&](int i) { return problem.query_tiles->order[places[std::min(i, group.count - 1)]]; };
  Rows<C> queries[kTileBlocks<C>];
  OnlineSoftmax<C> state[kTileBlocks<C>];
  for (int b = 0; b < in.blocks(); ++b) {
    const T* rows[lanes];
    for (int i = 0; i < in.vectors(b) * in.vector; ++i)
      rows[i] = problem.q.row(group.batch, group.head, token(in.first(b) + i));
    queries[b] = {memory.data() + in.first(b) * shape.qk_dim, in.vectors(b) * in.vector};
    pack_panel<C>(rows, 1, shape.qk_dim, in.vectors(b), queries[b]);
    state[b].begin(sums + b * acc, shape.v_dim, in.vectors(b));
  }

  const C factor = static_cast<C>(problem.scale * std::numbers::log2e);  // scores are kept in base 2
  keys.for_each_panel(problem.lists->row(head, group.tile), then, gathered, [&](const KeyPanel<C>& panel) {
    for (int b = 0; b < in.blocks(); ++b) {
      tile_scores<C>(panel.k, panel.count, {queries[b].data, queries[b].stride}, in.vectors(b), shape.qk_dim, factor,
                     {s, lanes}, panel.ahead_k);
      state[b].add(s, panel.count, C(1), panel.v, shape.v_dim, panel.ahead_v);
    }
  });

  for (int b = 0; b < in.blocks(); ++b) {
    C inverse[lanes]{}, log_sum[lanes];
    T* rows[lanes];
    state[b].finish(std::numbers::ln2_v<C>, shape.v_dim, in.queries(b), inverse, log_sum);
    for (int i = 0; i < in.queries(b); ++i) {
      rows[i] = y.row(group.batch, group.head, token(in.first(b) + i));
      if (lse != nullptr) lse[head * shape.q_len + token(in.first(b) + i)] = log_sum[i];
    }
    unpack_panel<C>(Rows<const C>{state[b].acc, lanes}, inverse, in.queries(b), shape.v_dim, rows);
  }
}

// The queries of a tile that are copies, or zeros.
template <class T>
void Forward<T>::fill(std::int64_t batch, std::int64_t head, std::int64_t tile) const {
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

}  // namespace
}  // namespace attention

template <class T>
void block_sparse_forward(const BlockSparse<T>& problem, AttentionView<T> y, Compute<T>* lse) {
  using C = Compute<T>;
  const auto& shape = problem.shape;
  const attention::Forward<T> task{problem, y, lse};
  const std::int64_t pairs = shape.batch * shape.kv_heads, heads = pairs > 0 ? shape.q_heads / shape.kv_heads : 0;
  const std::int64_t copy = shape.kv_len * attention::key_size<C>(shape);
  const std::int64_t fit = attention::kCopyBytes / (static_cast<std::int64_t>(sizeof(C)) * copy + 1);
  const std::int64_t together = attention::even_part(pairs, std::max<std::int64_t>(fit, 1));
  const Scratch<C> memory(std::min(pairs, together) * copy);
  for (std::int64_t begin = 0, end; begin < pairs; begin = end) {
    end = std::min(pairs, begin + together);
    const attention::KeySources<T> keys(problem, begin, end, memory.data());
    const auto rows =
        attention::query_rows(shape, *problem.query_tiles, problem.source, begin * heads, end * heads, simd::kLanes<C>);
    const auto list = [&](std::int64_t i) {
      if (i >= std::ssize(rows.groups)) return std::span<const std::int32_t>{};
      return problem.lists->row(rows.groups[i].batch * shape.q_heads + rows.groups[i].head, rows.groups[i].tile);
    };
    run_parallel(static_cast<std::int64_t>(rows.groups.size()), 1, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from; i < to; ++i) {
        const auto& group = rows.groups[i];
        task.run(keys.of(group.batch * shape.kv_heads + group.head / heads), group, rows.places.data() + group.first,
                 list(i + 1));
      }
    });
  }
  if (problem.source == nullptr) return;
  const std::int64_t tiles = problem.query_tiles->tiles();
  run_parallel(shape.batch * shape.q_heads * tiles, 8, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i < to; ++i) task.fill(i / tiles / shape.q_heads, i / tiles % shape.q_heads, i % tiles);
  });
}

template void block_sparse_forward(const BlockSparse<float>&, AttentionView<float>, float*);
template void block_sparse_forward(const BlockSparse<double>&, AttentionView<double>, double*);
template void block_sparse_forward(const BlockSparse<f16>&, AttentionView<f16>, float*);
template void block_sparse_forward(const BlockSparse<bf16>&, AttentionView<bf16>, float*);

}  // namespace tessera
