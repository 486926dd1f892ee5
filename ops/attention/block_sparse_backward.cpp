// The five products of backward.cpp, for pairs of tiles in lists.
//
// Heads are worked on in groups that memory bounds. A task takes one chunk of a head's keys (whole tiles) against one
// segment of its queries; both are cut so that they hold equally many pairs. In round r, chunk c meets segment
// (c + r) mod parts: no two tasks of a round share a key or a query, so sums of dq, dk and dv are added to in place,
// and their order is that of the rounds, whatever threads there are.
#include "ops/attention/block_sparse.h"
#include "ops/attention/block_sparse_keys.h"
#include "ops/attention/online_softmax.h"
#include "ops/attention/score_gradients.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace attention {
namespace {

constexpr std::int64_t kGroupBytes = std::int64_t{128} << 20;  // of working memory, if one head fits
constexpr std::int64_t kEnoughTasks = 12;                      // of a round
constexpr std::int64_t kLeastChunk = 2048;                     // keys

// Boundaries of `parts` parts of about equal weight.
std::vector<std::int64_t> cut_evenly(const std::vector<std::int64_t>& weights, std::int64_t parts) {
  std::int64_t total = 0, sum = 0;
  for (const auto w : weights) total += w;
  std::vector<std::int64_t> bounds{0};
  for (std::size_t i = 0; i < weights.size(); ++i) {
    while (sum * parts >= total * static_cast<std::int64_t>(bounds.size()) && std::ssize(bounds) < parts)
      bounds.push_back(static_cast<std::int64_t>(i));
    sum += weights[i];
  }
  bounds.resize(static_cast<std::size_t>(parts) + 1, static_cast<std::int64_t>(weights.size()));
  return bounds;
}

// What is kept of a group of queries between rounds.
template <class C>
struct KeptRows {
  Rows<C> q, dy;            // [queries][pitch], zeros beyond dim; dy with that of the copies added
  C* dq;                    // per block [qk_dim][lanes]
  C *shift, *norm, *delta;  // [lanes]
};

template <class T>
struct Backward {
  using C = Compute<T>;
  static constexpr int vector = simd::kLanes<C>;

  const BlockSparse<T>& problem;
  AttentionView<const T> y, dy;
  const C *lse, *dlse;
  AttentionGradients<T> out;
  // Working memory for as many pairs as are worked on at a time: K and V in tiled order, KeptRows, and the sums of dk
  // [kv_len][qk_dim] and dv [kv_len][v_dim].
  C *copies = nullptr, *kept_rows = nullptr, *sums = nullptr;

  // A group of (batch, kv head) pairs [begin, end).
  struct Heads {
    std::int64_t begin, end, parts;
    const KeySources<T>& keys;
    const QueryRows& rows;
    std::vector<std::int64_t> first_group{};                      // per pair: its row groups
    std::vector<std::vector<std::int64_t>> chunks{}, segments{};  // per pair: bounds of key tiles, of row groups
    std::vector<std::int64_t> kept_at{};                          // per row group: its KeptRows in kept_rows
  };
  // Working memory of a task.
  struct Work {
    C *q_panel, *dy_panel;  // per block [dim][lanes]
    C *p, *ds;              // [kTileKeys][kTileQueries]
    C *gathered, *scatter;  // a panel of keys; its dk and dv
  };

  std::int64_t group_size() const { return problem.shape.q_heads / problem.shape.kv_heads; }
  std::int64_t kept_size() const;
  void run(std::int64_t begin, std::int64_t end) const;
  void cut(Heads& heads) const;
  void prepare(const Heads& heads, std::int64_t group) const;
  void redo_statistics(const Heads& heads, const RowGroup& group, const KeptRows<C>& kept) const;
  void walk(const Heads& heads, std::int64_t pair, std::int64_t chunk, std::int64_t segment) const;
  void add_keys(const RowGroup& group, const KeptRows<C>& kept, const KeyPanel<C>& panel, const Work& work, Rows<C> dk,
                Rows<C> dv) const;
  void store_queries(const Heads& heads, std::int64_t group) const;
  void store_keys(const Heads& heads, std::int64_t pair, std::int64_t tile) const;
  void clear_copies(std::int64_t batch_head) const;

  std::int64_t pair_of(const RowGroup& group) const {
    return group.batch * problem.shape.kv_heads + group.head / group_size();
  }
  std::int64_t batch_head(const RowGroup& group) const { return group.batch * problem.shape.q_heads + group.head; }
  std::span<const std::int32_t> list(const RowGroup& group) const {
    return problem.lists->row(batch_head(group), group.tile);
  }
  Rows<C> dk_of(const Heads& heads, std::int64_t pair) const {
    return {sums + (pair - heads.begin) * sum_size(), problem.shape.qk_dim};
  }
  Rows<C> dv_of(const Heads& heads, std::int64_t pair) const {
    return {dk_of(heads, pair).row(problem.shape.kv_len), problem.shape.v_dim};
  }
  std::int64_t kept_size(std::int64_t queries) const {
    const std::int64_t lanes = (queries + vector - 1) / vector * vector;
    return queries * key_size<C>(problem.shape) + lanes * (problem.shape.qk_dim + 3);
  }
  std::int64_t sum_size() const { return problem.shape.kv_len * (problem.shape.qk_dim + problem.shape.v_dim); }
  KeptRows<C> kept(const Heads& heads, std::int64_t group) const {
    const int count = heads.rows.groups[group].count, lanes = LaneBlocks<C>(count).lanes();
    C* next = kept_rows + heads.kept_at[group];
    const auto take = [&](std::int64_t n) { return std::exchange(next, next + n); };
    const std::int64_t q_pitch = copy_pitch<C>(problem.shape.qk_dim), v_pitch = copy_pitch<C>(problem.shape.v_dim);
    return {{take(count * q_pitch), q_pitch},
            {take(count * v_pitch), v_pitch},
            take(lanes * problem.shape.qk_dim),
            take(lanes),
            take(lanes),
            take(lanes)};
  }
};

// Elements that the KeptRows of a pair take at most: when every query is computed.
template <class T>
std::int64_t Backward<T>::kept_size() const {
  std::int64_t size = 0;
  for (std::int64_t tile = 0; tile < problem.query_tiles->tiles(); ++tile)
    size += kept_size(problem.query_tiles->size(tile));
  return group_size() * size;
}

template <class T>
void Backward<T>::run(std::int64_t begin, std::int64_t end) const {
  const auto& shape = problem.shape;
  const KeySources<T> keys(problem, begin, end, copies);
  const QueryRows rows =
      query_rows(shape, *problem.query_tiles, problem.source, begin * group_size(), end * group_size(), vector);
  const std::int64_t pairs = end - begin, groups = std::ssize(rows.groups);
  const std::int64_t parts = std::clamp<std::int64_t>(shape.kv_len / kLeastChunk, 1, (kEnoughTasks - 1) / pairs + 1);
  Heads heads{begin, end, parts, keys, rows};
  cut(heads);
  std::int64_t size = 0;
  for (const auto& group : rows.groups) heads.kept_at.push_back(std::exchange(size, size + kept_size(group.count)));

  const auto for_each = [](std::int64_t n, std::int64_t grain, auto&& f) {
    run_parallel(n, grain, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from; i < to; ++i) f(i);
    });
  };
  for_each(groups, 4, [&](std::int64_t i) { prepare(heads, i); });
  for_each(pairs, 1, [&](std::int64_t i) { std::fill_n(sums + i * sum_size(), sum_size(), C(0)); });
  for (std::int64_t round = 0; round < heads.parts; ++round) {
    for_each(pairs * heads.parts, 1, [&](std::int64_t i) {
      const std::int64_t chunk = i % heads.parts;
      walk(heads, begin + i / heads.parts, chunk, (chunk + round) % heads.parts);
    });
  }
  for_each(groups, 4, [&](std::int64_t i) { store_queries(heads, i); });
  const std::int64_t tiles = problem.key_tiles->tiles();
  for_each(pairs * tiles, 8, [&](std::int64_t i) { store_keys(heads, begin + i / tiles, i % tiles); });
}

template <class T>
void Backward<T>::cut(Heads& heads) const {
  const auto& groups = heads.rows.groups;
  std::size_t i = 0;
  for (std::int64_t pair = heads.begin; pair < heads.end; ++pair) {
    std::vector<std::int64_t> of_tiles(static_cast<std::size_t>(problem.key_tiles->tiles())), of_groups;
    heads.first_group.push_back(static_cast<std::int64_t>(i));
    for (; i < groups.size() && pair_of(groups[i]) == pair; ++i) {
      std::int64_t keys = 0;
      for (const std::int32_t tile : list(groups[i])) {
        of_tiles[tile] += problem.key_tiles->size(tile) * groups[i].count;
        keys += problem.key_tiles->size(tile);
      }
      of_groups.push_back(keys * groups[i].count);
    }
    heads.chunks.push_back(cut_evenly(of_tiles, heads.parts));
    heads.segments.push_back(cut_evenly(of_groups, heads.parts));
  }
}

template <class T>
void Backward<T>::prepare(const Heads& heads, std::int64_t index) const {
  const auto& shape = problem.shape;
  const auto& tiles = *problem.query_tiles;
  const auto& group = heads.rows.groups[index];
  const auto rows = kept(heads, index);
  const std::int32_t *const places = heads.rows.places.data() + group.first, *const end = places + group.count;
  for (int i = 0; i < group.count; ++i) {
    const std::int64_t token = tiles.order[places[i]],
                       soon = tiles.order[places[std::min(i + kRowsAhead, group.count - 1)]];
    prefetch_row(problem.q.row(group.batch, group.head, soon), shape.qk_dim);
    prefetch_row(dy.row(group.batch, group.head, soon), shape.v_dim);
    prefetch_row(y.row(group.batch, group.head, token), shape.v_dim);  // of the next loop
    copy_padded(problem.q.row(group.batch, group.head, token), shape.qk_dim, rows.q.stride, rows.q.row(i));
    copy_padded(dy.row(group.batch, group.head, token), shape.v_dim, rows.dy.stride, rows.dy.row(i));
  }
  const std::int64_t row = batch_head(group) * shape.q_len;
  for (std::int32_t place = tiles.first[group.tile]; problem.source != nullptr && place < tiles.first[group.tile + 1];
       ++place) {
    const std::int32_t source = problem.source[row + place];
    const std::int32_t* const found = std::lower_bound(places, end, source);
    if (source == place || found == end || *found != source) continue;
    const T* const from = dy.row(group.batch, group.head, tiles.order[place]);
    C* const to = rows.dy.row(found - places);
    for (std::int64_t c = 0; c < shape.v_dim; ++c) to[c] += static_cast<C>(from[c]);
  }
  const LaneBlocks<C> in(group.count);
  std::fill_n(rows.dq, in.lanes() * (shape.qk_dim + 3), C(0));  // also shift, norm and delta
  bool coarse = false;
  for (int i = 0; i < group.count; ++i) {
    const std::int64_t token = tiles.order[places[i]], at = row + token;
    rows.shift[i] = probability_shift(lse[at], std::numbers::ln2_v<C>);
    rows.norm[i] = C(1);
    rows.delta[i] =
        dot(rows.dy.row(i), y.row(group.batch, group.head, token), shape.v_dim) - (dlse != nullptr ? dlse[at] : C(0));
    coarse = coarse || coarse_lse(lse[at]);
  }
  if (coarse) redo_statistics(heads, group, rows);
}

// shift and norm from the scores themselves.
template <class T>
void Backward<T>::redo_statistics(const Heads& heads, const RowGroup& group, const KeptRows<C>& rows) const {
  constexpr int lanes = kBlockLanes<C>;
  const auto& shape = problem.shape;
  const LaneBlocks<C> in(group.count);
  const Scratch<C> memory(in.lanes() * shape.qk_dim + kTileKeys * (lanes + key_size<C>(shape)));
  C* const s = memory.data() + in.lanes() * shape.qk_dim;
  pack_rows(rows.q, group.count, shape.qk_dim, memory.data());
  OnlineSoftmax<C> state[kTileBlocks<C>];
  for (int b = 0; b < in.blocks(); ++b) state[b].begin(nullptr, 0, in.vectors(b));
  heads.keys.of(pair_of(group)).for_each_panel(list(group), {}, s + kTileKeys * lanes, [&](const KeyPanel<C>& panel) {
    for (int b = 0; b < in.blocks(); ++b) {
      tile_scores<C>(panel.k, panel.count, block_panel<C>(in, b, shape.qk_dim, memory.data()), in.vectors(b),
                     shape.qk_dim, static_cast<C>(problem.scale * std::numbers::log2e), {s, lanes});
      state[b].add(s, panel.count, C(1), {nullptr, 0}, 0);
    }
  });
  for (int i = 0; i < group.count; ++i) {
    const auto& from = state[i / (in.part * vector)];
    const int lane = i % (in.part * vector);
    if (from.weight[lane] == C(0)) continue;
    rows.shift[i] = from.top[lane];
    rows.norm[i] = C(1) / from.weight[lane];
  }
}

// One task: a segment of queries against a chunk of keys.
template <class T>
void Backward<T>::walk(const Heads& heads, std::int64_t pair, std::int64_t chunk, std::int64_t segment) const {
  const auto& shape = problem.shape;
  const std::int64_t square = kTileKeys * kTileQueries, both = shape.qk_dim + shape.v_dim, i = pair - heads.begin;
  const Scratch<C> memory(kTileQueries * both + 2 * square + kTileKeys * (key_size<C>(shape) + both));
  C* next = memory.data();
  const auto take = [&](std::int64_t n) { return std::exchange(next, next + n); };
  const Work work{take(kTileQueries * shape.qk_dim),
                  take(kTileQueries * shape.v_dim),
                  take(square),
                  take(square),
                  take(kTileKeys * key_size<C>(shape)),
                  take(kTileKeys * both)};
  const auto begin = static_cast<std::int32_t>(heads.chunks[i][chunk]),
             end = static_cast<std::int32_t>(heads.chunks[i][chunk + 1]);
  for (std::int64_t g = heads.segments[i][segment]; g < heads.segments[i][segment + 1]; ++g) {
    const std::int64_t index = heads.first_group[i] + g;
    const auto& group = heads.rows.groups[index];
    const auto all = list(group);
    const auto from = std::lower_bound(all.begin(), all.end(), begin), to = std::lower_bound(from, all.end(), end);
    if (from == to) continue;
    const auto rows = kept(heads, index);
    pack_rows(rows.q, group.count, shape.qk_dim, work.q_panel);
    pack_rows(rows.dy, group.count, shape.v_dim, work.dy_panel);
    heads.keys.of(pair).for_each_panel({from, to}, {}, work.gathered, [&](const KeyPanel<C>& panel) {
      add_keys(group, rows, panel, work, dk_of(heads, pair), dv_of(heads, pair));
    });
  }
}

template <class T>
void Backward<T>::add_keys(const RowGroup& group, const KeptRows<C>& rows, const KeyPanel<C>& panel, const Work& work,
                           Rows<C> dk, Rows<C> dv) const {
  const auto& shape = problem.shape;
  const LaneBlocks<C> in(group.count);
  C ones[kBlockLanes<C>];
  std::fill_n(ones, kBlockLanes<C>, C(1));
  for (int b = 0; b < in.blocks(); ++b) {
    const int first = in.first(b), vectors = in.vectors(b);
    const Rows<C> p{work.p + first, kTileQueries}, ds{work.ds + first, kTileQueries};
    tile_scores<C>(panel.k, panel.count, block_panel<C>(in, b, shape.qk_dim, work.q_panel), vectors, shape.qk_dim,
                   static_cast<C>(problem.scale * std::numbers::log2e), p, panel.ahead_k);
    tile_scores<C>(panel.v, panel.count, block_panel<C>(in, b, shape.v_dim, work.dy_panel), vectors, shape.v_dim, C(1),
                   ds, panel.ahead_v);
    score_gradients(p, ds, panel.count, vectors, rows.shift + first, rows.norm + first, rows.delta + first, C(1),
                    static_cast<C>(problem.scale));
    tile_accumulate<C>(panel.k, panel.count, shape.qk_dim, {ds.data, ds.stride}, vectors, ones,
                       {rows.dq + first * shape.qk_dim, vectors * vector});
  }
  // dv += p^T dy, dk += ds^T q: in place, or by way of a panel where the keys are not consecutive.
  const auto add = [&](const C* weights, Rows<C> right, std::int64_t dim, Rows<C> to) {
    const Rows<C> panel_sum =
        panel.places != nullptr ? Rows<C>{work.scatter, dim} : Rows<C>{to.row(panel.first), to.stride};
    if (panel.places != nullptr) std::fill_n(work.scatter, panel.count * dim, C(0));
    tile_outer<C>({weights, kTileQueries}, panel.count, group.count, {right.data, right.stride}, dim, panel_sum);
    for (int j = 0; panel.places != nullptr && j < panel.count; ++j)
      for (std::int64_t c = 0; c < dim; ++c) to.row(panel.places[j])[c] += panel_sum.row(j)[c];
  };
  add(work.p, rows.dy, shape.v_dim, dv);
  add(work.ds, rows.q, shape.qk_dim, dk);
}

template <class T>
void Backward<T>::store_queries(const Heads& heads, std::int64_t index) const {
  const auto& group = heads.rows.groups[index];
  const auto rows = kept(heads, index);
  const LaneBlocks<C> in(group.count);
  C ones[kBlockLanes<C>];
  std::fill_n(ones, kBlockLanes<C>, C(1));
  for (int b = 0; b < in.blocks(); ++b) {
    T* to[kBlockLanes<C>];
    for (int i = 0; i < in.queries(b); ++i) {
      const std::int32_t place = heads.rows.places[group.first + in.first(b) + i];
      to[i] = out.dq.row(group.batch, group.head, problem.query_tiles->order[place]);
    }
    unpack_panel<C>(block_panel<C>(in, b, problem.shape.qk_dim, rows.dq), ones, in.queries(b), problem.shape.qk_dim,
                    to);
  }
}

template <class T>
void Backward<T>::store_keys(const Heads& heads, std::int64_t pair, std::int64_t tile) const {
  const auto& shape = problem.shape;
  const auto& tiles = *problem.key_tiles;
  const std::int64_t batch = pair / shape.kv_heads, head = pair % shape.kv_heads;
  const Rows<C> dk = dk_of(heads, pair), dv = dv_of(heads, pair);
  const auto store = [](const C* from, std::int64_t dim, T* to) {
    std::transform(from, from + dim, to, [](C x) { return static_cast<T>(x); });
  };
  for (std::int32_t place = tiles.first[tile]; place < tiles.first[tile + 1]; ++place) {
    store(dk.row(place), shape.qk_dim, out.dk.row(batch, head, tiles.order[place]));
    store(dv.row(place), shape.v_dim, out.dv.row(batch, head, tiles.order[place]));
  }
}

// dq = 0 where a query is not computed.
template <class T>
void Backward<T>::clear_copies(std::int64_t batch_head) const {
  const auto& shape = problem.shape;
  for (std::int32_t place = 0; place < shape.q_len; ++place) {
    if (problem.source[batch_head * shape.q_len + place] == place) continue;
    const std::int64_t token = problem.query_tiles->order[place];
    std::fill_n(out.dq.row(batch_head / shape.q_heads, batch_head % shape.q_heads, token), shape.qk_dim, T{});
  }
}

}  // namespace
}  // namespace attention

template <class T>
void block_sparse_backward(const BlockSparse<T>& problem, AttentionView<const T> y, const Compute<T>* lse,
                           AttentionView<const T> dy, const Compute<T>* dlse, const AttentionGradients<T>& gradients) {
  const auto& shape = problem.shape;
  using C = Compute<T>;
  attention::Backward<T> task{problem, y, dy, lse, dlse, gradients};
  const std::int64_t pairs = shape.batch * shape.kv_heads;
  if (pairs == 0) return;
  const std::int64_t copy = shape.kv_len * attention::key_size<C>(shape), kept = task.kept_size();
  const std::int64_t bytes = (copy + kept + task.sum_size() + 1) * static_cast<std::int64_t>(sizeof(C));
  const std::int64_t together = attention::even_part(pairs, std::max<std::int64_t>(1, attention::kGroupBytes / bytes));
  const Scratch<C> copies(together * copy), kept_rows(together * kept), sums(together * task.sum_size());
  task.copies = copies.data();
  task.kept_rows = kept_rows.data();
  task.sums = sums.data();
  for (std::int64_t begin = 0; begin < pairs; begin += together) task.run(begin, std::min(pairs, begin + together));
  if (problem.source == nullptr) return;
  run_parallel(shape.batch * shape.q_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) task.clear_copies(i);
  });
}

template void block_sparse_backward(const BlockSparse<float>&, AttentionView<const float>, const float*,
                                    AttentionView<const float>, const float*, const AttentionGradients<float>&);
template void block_sparse_backward(const BlockSparse<double>&, AttentionView<const double>, const double*,
                                    AttentionView<const double>, const double*, const AttentionGradients<double>&);
template void block_sparse_backward(const BlockSparse<f16>&, AttentionView<const f16>, const float*,
                                    AttentionView<const f16>, const float*, const AttentionGradients<f16>&);
template void block_sparse_backward(const BlockSparse<bf16>&, AttentionView<const bf16>, const float*,
                                    AttentionView<const bf16>, const float*, const AttentionGradients<bf16>&);

}  // namespace tessera
