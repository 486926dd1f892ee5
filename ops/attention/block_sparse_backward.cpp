// The five products of backward.cpp, for pairs of tiles in lists, in two walks.
//
// The first takes the keys of a tile: they stand in lanes, K and V, dk and dv stay in cache, while all queries whose
// lists name the tile come by in panels. It leaves ds behind. The second takes the queries of a tile and sums dq over
// the keys of their list, from ds and K. No two tasks write the same element, so no sum depends on threads.
//
// ds takes memory in proportion to the pairs in the lists, and bounds how many queries are worked on at a time: those
// of some heads, or a part of those of one head; then the sums of dk and dv are kept from part to part. How many whole
// heads go together changes no result.
#include <numeric>

#include "ops/attention/block_sparse.h"
#include "ops/attention/block_sparse_keys.h"
#include "ops/attention/block_sparse_segment.h"
#include "ops/attention/online_softmax.h"
#include "ops/attention/score_gradients.h"
#include "runtime/base/parts.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace attention {
namespace {

// Of q, dy, ds and K, for each cache, if one tile of queries fits: they are read again while the cache has most of
// them.
constexpr std::int64_t kSegmentBytes = std::int64_t{48} << 20;

// What the tasks of a segment share.
template <class C>
struct Work {
  Segment segment;
  TileRows queries{};
  TurnedLists lists{};
  Rows<C> q{}, dy{};      // of the queries; dy with that of the copies added
  TiledRows<C> rows{};    // the same, to be read
  QueryState<C>* states;  // of the queries
  Rows<C> k;              // [pairs][kv_len] in tiled order
  C* ds = nullptr;        // blocks, see TurnedLists
  C* sums;                // dk and dv of the groups of keys, where they are kept from part to part
};

template <class T>
struct Backward {
  using C = Compute<T>;
  static constexpr int vector = simd::kLanes<C>;

  const BlockSparse<T>& problem;
  AttentionView<const T> y, dy;
  const C *lse, *dlse;
  AttentionGradients<T> out;
  TileRows keys;                          // of one head: all have the same
  std::vector<std::int64_t> key_pitch{};  // per key tile: its keys in whole vectors
  std::vector<std::int64_t> sums_at{0};   // per group of keys, in the sums of dk and dv

  // Working memory of a task of the first walk.
  struct Lanes {
    LaneBlocks<C> in;
    C *k, *v, *dk, *dv;  // per block [dim][lanes]
    C *p, *ds;           // [kTileKeys][kTileQueries]
  };

  void run();
  std::vector<std::int64_t> sizes_of_lists() const;
  void run(Work<C>& work, C* memory) const;
  void prepare(const Work<C>& work, const RowGroup& queries) const;
  void redo_statistics(const Work<C>& work, const RowGroup& queries) const;
  void run_keys(const Work<C>& work, std::span<const std::int32_t> order, std::int64_t at) const;
  void load_keys(const Work<C>& work, std::int64_t pair, const RowGroup& group, const Lanes& lanes) const;
  void add_queries(const RowPanel<C>& panel, const QueryState<C>* states, C* const* ds_to, const Lanes& lanes) const;
  void store_keys(std::int64_t pair, const RowGroup& group, const Lanes& lanes) const;
  void run_queries(const Work<C>& work, const RowGroup& queries) const;
  void clear_copies(std::int64_t batch_head) const;

  // The query tiles that name the tile of a task of the first walk.
  TurnedLists::Row naming(const Work<C>& work, std::int64_t index) const {
    const std::int64_t groups = std::ssize(keys.groups);
    return work.lists.row(index / groups * problem.key_tiles->tiles() + keys.groups[index % groups].tile);
  }
  std::int64_t pairs() const { return problem.shape.batch * problem.shape.kv_heads; }
  std::int64_t lists_per_pair() const { return problem.shape.group() * problem.query_tiles->tiles(); }
  std::int64_t list_of(const RowGroup& queries) const {
    return (queries.batch * problem.shape.q_heads + queries.head) * problem.query_tiles->tiles() + queries.tile;
  }
};

template <class T>
void Backward<T>::run() {
  const auto& shape = problem.shape;
  for (std::int64_t tile = 0; tile < problem.key_tiles->tiles(); ++tile)
    key_pitch.push_back(LaneBlocks<C>(problem.key_tiles->size(tile)).lanes());
  for (const auto& group : keys.groups)
    sums_at.push_back(sums_at.back() + LaneBlocks<C>(group.count).lanes() * (shape.qk_dim + shape.v_dim));
  const auto sizes = sizes_of_lists();
  const std::int64_t pitch = copy_pitch<C>(shape.qk_dim), of_pair = shape.kv_len * pitch;
  const auto all =
      segments(pairs(), sizes, of_pair, kSegmentBytes / static_cast<std::int64_t>(sizeof(C)), caches_of_threads());
  std::int64_t size = 0, together = 0;
  bool in_parts = false;
  for (const auto& s : all) {
    size = std::max(size, std::accumulate(sizes.begin() + s.begin, sizes.begin() + s.end, std::int64_t{0}));
    together = std::max(together, s.end_pair - s.first_pair);
    in_parts = in_parts || !s.opens;
  }
  const Scratch<C> k(together * of_pair), sums(in_parts ? sums_at.back() : 0), memory(size);
  const Scratch<QueryState<C>> states(size / row_size<C>(shape));
  for (const auto& segment : all) {
    const bool part = !segment.opens || !segment.closes;  // of one pair; sums have room for no more
    Work<C> work{
        .segment = segment, .states = states.data(), .k = {k.data(), pitch}, .sums = part ? sums.data() : nullptr};
    run(work, memory.data());
  }
  if (problem.source == nullptr) return;
  run_parallel(shape.batch * shape.q_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) clear_copies(i);
  });
}

// Elements of q, dy and ds that the queries of each list take.
template <class T>
std::vector<std::int64_t> Backward<T>::sizes_of_lists() const {
  const auto& tiles = *problem.query_tiles;
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(pairs() * lists_per_pair()));
  for (std::int64_t i = 0; i < std::ssize(sizes); ++i) {
    std::int64_t each = row_size<C>(problem.shape);
    for (const std::int32_t tile : problem.lists->row(i)) each += key_pitch[tile];
    sizes[i] = each * computed_tokens(tiles, problem.source, i / tiles.tiles(), i % tiles.tiles());
  }
  return sizes;
}

template <class T>
void Backward<T>::run(Work<C>& work, C* memory) const {
  const auto& shape = problem.shape;
  const auto& s = work.segment;
  work.queries = tile_rows(shape.q_heads, *problem.query_tiles, problem.source, s.begin, s.end, vector);
  work.lists = turned_lists(s, lists_per_pair(), *problem.lists, work.queries, key_pitch);
  work.q = {memory, copy_pitch<C>(shape.qk_dim)};
  work.dy = {work.q.row(std::ssize(work.queries.places)), copy_pitch<C>(shape.v_dim)};
  work.rows = {work.queries.of_tiles.data(), shape.qk_dim, shape.v_dim, work.q, work.dy};
  work.ds = work.dy.row(std::ssize(work.queries.places));
  const auto for_each = [](std::int64_t n, std::int64_t grain, auto&& f) {
    run_parallel(n, grain, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from; i < to; ++i) f(i);
    });
  };
  const auto& groups = work.queries.groups;
  for_each(std::ssize(groups), 4, [&](std::int64_t i) { prepare(work, groups[i]); });
  const std::int64_t n = std::ssize(keys.groups);
  const auto by_keys = longest_first((s.end_pair - s.first_pair) * n, [&](std::int64_t i) {
    return keys.groups[i % n].count * listed_rows(work.rows.first, naming(work, i).tile);
  });
  const auto by_queries = longest_first(std::ssize(groups), [&](std::int64_t i) {
    return groups[i].count * listed_rows(problem.key_tiles->first.data(), problem.lists->row(list_of(groups[i])));
  });
  for_each(std::ssize(by_keys), 1, [&](std::int64_t i) { run_keys(work, by_keys, i); });
  for_each(std::ssize(by_queries), 1, [&](std::int64_t i) { run_queries(work, groups[by_queries[i]]); });
}

// q, dy and the state of a group of queries.
template <class T>
void Backward<T>::prepare(const Work<C>& work, const RowGroup& group) const {
  const auto& shape = problem.shape;
  const auto& tiles = *problem.query_tiles;
  const std::int32_t *const places = work.queries.places.data() + group.first, *const end = places + group.count;
  for (int i = 0; i < group.count; ++i) {
    const std::int64_t token = tiles.order[places[i]],
                       soon = tiles.order[places[std::min(i + kRowsAhead, group.count - 1)]];
    prefetch_row(problem.q.row(group.batch, group.head, soon), shape.qk_dim);
    prefetch_row(dy.row(group.batch, group.head, soon), shape.v_dim);
    prefetch_row(y.row(group.batch, group.head, token), shape.v_dim);  // of the next loop
    copy_row<C>(problem.q.row(group.batch, group.head, token), shape.qk_dim, work.q.row(group.first + i));
    copy_row<C>(dy.row(group.batch, group.head, token), shape.v_dim, work.dy.row(group.first + i));
  }
  const std::int64_t row = (group.batch * shape.q_heads + group.head) * shape.q_len;
  for (std::int32_t place = tiles.first[group.tile]; problem.source != nullptr && place < tiles.first[group.tile + 1];
       ++place) {
    const std::int32_t source = problem.source[row + place];
    const std::int32_t* const found = std::lower_bound(places, end, source);
    if (source == place || found == end || *found != source) continue;
    const T* const from = dy.row(group.batch, group.head, tiles.order[place]);
    C* const to = work.dy.row(group.first + (found - places));
    for (std::int64_t c = 0; c < shape.v_dim; ++c) to[c] += static_cast<C>(from[c]);
  }
  bool coarse = false;
  for (int i = 0; i < group.count; ++i) {
    const std::int64_t token = tiles.order[places[i]], at = row + token;
    auto& state = work.states[group.first + i];
    state.shift = probability_shift(lse[at], std::numbers::ln2_v<C>);
    state.norm = C(1);
    state.delta = dot<C>(work.dy.row(group.first + i), y.row(group.batch, group.head, token), shape.v_dim) -
                  (dlse != nullptr ? dlse[at] : C(0));
    coarse = coarse || coarse_lse(lse[at]);
  }
  if (coarse) redo_statistics(work, group);
}

// shift and norm from the scores themselves.
template <class T>
void Backward<T>::redo_statistics(const Work<C>& work, const RowGroup& group) const {
  constexpr int lanes = kBlockLanes<C>;
  const auto& shape = problem.shape;
  const LaneBlocks<C> in(group.count);
  const Scratch<C> memory(in.lanes() * shape.qk_dim + kTileKeys * (lanes + row_size<C>(shape)));
  C* const s = memory.data() + in.lanes() * shape.qk_dim;
  pack_blocks(
      in, shape.qk_dim, [&](int i) { return work.rows.qk.row(group.first + i); }, memory.data());
  OnlineSoftmax<C> state[kTileBlocks<C>];
  for (int b = 0; b < in.blocks(); ++b) state[b].begin(nullptr, 0, in.vectors(b));
  const KeySource<T> source(problem, group.batch * shape.kv_heads + group.head / shape.group());
  source.for_each_panel(problem.lists->row(list_of(group)), {}, s + kTileKeys * lanes, [&](const auto& panel) {
    for (int b = 0; b < in.blocks(); ++b) {
      tile_scores<C>(panel.qk, panel.count, block_panel<C>(in, b, shape.qk_dim, memory.data()), in.vectors(b),
                     shape.qk_dim, static_cast<C>(problem.scale * std::numbers::log2e), {s, lanes});
      state[b].add_weights(s, panel.count, C(1));
    }
  });
  for (int i = 0; i < group.count; ++i) {
    const auto& from = state[i / (in.part * vector)];
    const int lane = i % (in.part * vector);
    if (from.weight[lane] == C(0)) continue;
    work.states[group.first + i].shift = from.top[lane];
    work.states[group.first + i].norm = C(1) / from.weight[lane];
  }
}

// The first walk's task: a group of keys and all queries of the segment whose lists name its tile.
template <class T>
void Backward<T>::run_keys(const Work<C>& work, std::span<const std::int32_t> order, std::int64_t at) const {
  const auto& shape = problem.shape;
  const auto& s = work.segment;
  const std::int64_t index = order[at], groups = std::ssize(keys.groups), pair = s.first_pair + index / groups;
  const auto& group = keys.groups[index % groups];
  const LaneBlocks<C> in(group.count);
  const std::int64_t square = kTileKeys * kTileQueries, both = in.lanes() * (shape.qk_dim + shape.v_dim);
  const Scratch<C> memory(2 * (both + square) + kTileKeys * row_size<C>(shape));
  const Scratch<C*> ds_to(std::ssize(work.queries.places));
  C* next = memory.data();
  const auto take = [&](std::int64_t n) { return std::exchange(next, next + n); };
  Lanes lanes{in, take(in.lanes() * shape.qk_dim), take(in.lanes() * shape.v_dim), {}, {}, take(square), take(square)};
  C* const gathered = take(kTileKeys * row_size<C>(shape));
  lanes.dk = work.sums != nullptr ? work.sums + sums_at[index % groups] : take(both);
  lanes.dv = lanes.dk + in.lanes() * shape.qk_dim;
  load_keys(work, pair, group, lanes);
  if (s.opens) std::fill_n(lanes.dk, both, C(0));

  const auto named = naming(work, index);
  const std::int64_t inside = group.first - problem.key_tiles->first[group.tile];
  for (std::size_t i = 0; i < named.tile.size(); ++i) {
    C* to = work.ds + named.block[i] + inside;
    for (std::int32_t row = work.rows.first[named.tile[i]]; row < work.rows.first[named.tile[i] + 1]; ++row)
      ds_to[row] = std::exchange(to, to + key_pitch[group.tile]);
  }
  const auto copy = [&](std::int32_t row, C* to_q, C* to_dy) {
    copy_row<C>(work.rows.qk.row(row), shape.qk_dim, to_q);
    copy_row<C>(work.rows.v.row(row), shape.v_dim, to_dy);
  };
  const auto then = at + 1 < std::ssize(order) ? naming(work, order[at + 1]).tile : named.tile.first(0);
  for_each_panel(work.rows, named.tile, then, gathered, copy,
                 [&](const RowPanel<C>& panel) { add_queries(panel, work.states, ds_to.data(), lanes); });
  if (s.closes) store_keys(pair, group, lanes);
}

// K into tiled order, K and V into lanes.
template <class T>
void Backward<T>::load_keys(const Work<C>& work, std::int64_t pair, const RowGroup& group, const Lanes& lanes) const {
  const auto& shape = problem.shape;
  const std::int64_t batch = pair / shape.kv_heads, head = pair % shape.kv_heads;
  const std::int32_t* const tokens = problem.key_tiles->order.data() + group.first;
  for (int j = 0; j < group.count; ++j) {
    prefetch_row(problem.v.row(batch, head, tokens[j]), shape.v_dim);
    C* const k = work.k.row((pair - work.segment.first_pair) * shape.kv_len + group.first + j);
    if (work.segment.opens) copy_row<C>(problem.k.row(batch, head, tokens[j]), shape.qk_dim, k);
  }
  pack_blocks(
      lanes.in, shape.qk_dim, [&](int j) { return problem.k.row(batch, head, tokens[j]); }, lanes.k);
  pack_blocks(
      lanes.in, shape.v_dim, [&](int j) { return problem.v.row(batch, head, tokens[j]); }, lanes.v);
}

// p and ds of a panel of queries, its part of dk and dv.
template <class T>
void Backward<T>::add_queries(const RowPanel<C>& panel, const QueryState<C>* states, C* const* ds_to,
                              const Lanes& lanes) const {
  const auto& shape = problem.shape;
  const auto& in = lanes.in;
  C ones[kBlockLanes<C>];
  std::fill_n(ones, kBlockLanes<C>, C(1));
  const auto row = [&](int i) { return panel.places != nullptr ? panel.places[i] : panel.first + i; };
  for (int i = 0; i < panel.count; ++i) prefetch_row_to_write(ds_to[row(i)], in.count);
  for (int b = 0; b < in.blocks(); ++b) {
    const int first = in.first(b), vectors = in.vectors(b);
    const Rows<C> p{lanes.p + first, kTileQueries}, ds{lanes.ds + first, kTileQueries};
    tile_scores<C>(panel.qk, panel.count, block_panel<C>(in, b, shape.qk_dim, lanes.k), vectors, shape.qk_dim,
                   static_cast<C>(problem.scale * std::numbers::log2e), p, panel.ahead_qk);
    tile_scores<C>(panel.v, panel.count, block_panel<C>(in, b, shape.v_dim, lanes.v), vectors, shape.v_dim, C(1), ds,
                   panel.ahead_v);
    for (int i = 0; i < panel.count; ++i)
      row_gradients(p.row(i), ds.row(i), in.queries(b), states[row(i)], static_cast<C>(problem.scale),
                    ds_to[row(i)] + first);
    tile_accumulate<C>(panel.v, panel.count, shape.v_dim, {p.data, p.stride}, vectors, ones,
                       {lanes.dv + first * shape.v_dim, vectors * vector});
    tile_accumulate<C>(panel.qk, panel.count, shape.qk_dim, {ds.data, ds.stride}, vectors, ones,
                       {lanes.dk + first * shape.qk_dim, vectors * vector});
  }
}

template <class T>
void Backward<T>::store_keys(std::int64_t pair, const RowGroup& group, const Lanes& lanes) const {
  const auto& shape = problem.shape;
  const auto& in = lanes.in;
  C ones[kBlockLanes<C>];
  std::fill_n(ones, kBlockLanes<C>, C(1));
  const auto store = [&](const C* from, std::int64_t dim, AttentionView<T> to) {
    for (int b = 0; b < in.blocks(); ++b) {
      T* rows[kBlockLanes<C>];
      for (int j = 0; j < in.queries(b); ++j)
        rows[j] = to.row(pair / shape.kv_heads, pair % shape.kv_heads,
                         problem.key_tiles->order[group.first + in.first(b) + j]);
      unpack_panel<C>(block_panel<C>(in, b, dim, from), ones, in.queries(b), dim, rows);
    }
  };
  store(lanes.dk, shape.qk_dim, out.dk);
  store(lanes.dv, shape.v_dim, out.dv);
}

// The second walk's task: dq of a group of queries.
template <class T>
void Backward<T>::run_queries(const Work<C>& work, const RowGroup& group) const {
  const auto& shape = problem.shape;
  const auto& tiles = *problem.key_tiles;
  const Scratch<C> dq(group.count * shape.qk_dim);
  std::fill_n(dq.data(), group.count * shape.qk_dim, C(0));
  const std::int64_t pair = group.batch * shape.kv_heads + group.head / shape.group(), list = list_of(group);
  const C* const k = work.k.row((pair - work.segment.first_pair) * shape.kv_len);
  const std::int64_t tile = list - work.segment.begin, queries = work.rows.first[tile + 1] - work.rows.first[tile];
  const C* block = work.ds + work.lists.first_block[tile];
  const auto named = problem.lists->row(list);
  for (std::size_t i = 0; i < named.size(); ++i) {
    const std::int64_t first = tiles.first[named[i]], pitch = key_pitch[named[i]];
    const std::int64_t soon = i + 1 < named.size() ? tiles.first[named[i + 1]] : first;
    tile_outer<C>({block + (group.first - work.rows.first[tile]) * pitch, pitch}, group.count, tiles.size(named[i]),
                  {k + first * work.k.stride, work.k.stride}, shape.qk_dim, {dq.data(), shape.qk_dim}, queries * pitch,
                  (soon - first) * work.k.stride);
    block += queries * pitch;
  }
  for (int i = 0; i < group.count; ++i) {
    const std::int32_t token = problem.query_tiles->order[work.queries.places[group.first + i]];
    std::transform(dq.data() + i * shape.qk_dim, dq.data() + (i + 1) * shape.qk_dim,
                   out.dq.row(group.batch, group.head, token), [](C x) { return static_cast<T>(x); });
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
  if (shape.batch * shape.kv_heads == 0) return;
  const auto& tiles = *problem.key_tiles;
  attention::Backward<T>{problem,
                         y,
                         dy,
                         lse,
                         dlse,
                         gradients,
                         attention::tile_rows(1, tiles, nullptr, 0, tiles.tiles(), simd::kLanes<Compute<T>>)}
      .run();
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
