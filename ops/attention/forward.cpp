#include <cmath>

#include "ops/attention/bf16_queries.h"
#include "ops/attention/few_queries.h"
#include "ops/attention/kernel.h"
#include "ops/attention/online_softmax.h"
#include "ops/attention/packs.h"
#include "runtime/base/parts.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace attention {
namespace {

// Calls with few tiles of queries (decoding) split the keys as well. Decided by sizes only.
constexpr std::int64_t kEnoughTasks = 32;
constexpr std::int64_t kLeastChunk = 512;
// Calls with more tasks than this take more queries in each: K and V of long sequences come from far away every time.
// Enough are left to keep dozens of cores evenly busy.
constexpr std::int64_t kManyTasks = 256;
// Bytes of K and V that are copied for the queries that come next; those of one kv head where these are more.
constexpr std::int64_t kMostCopied = 64 << 20;

// K and V of a tile of keys, Rows or Packs; K from `before` keys earlier on. `ahead` as in tile_kernels.h.
template <class Operand>
struct KeyTile {
  Operand k, v;
  int before;
  std::ptrdiff_t ahead_k, ahead_v;
};

template <class T>
struct Forward {
  using C = Compute<T>;
  static constexpr int lanes = kBlockLanes<C>;

  Problem<T> problem;
  AttentionView<T> y;
  C* lse;
  bool few;                              // see few_queries.h
  bool copied;                           // K and V are read from copies of whole heads, see copy
  std::int64_t heads, at_once;           // kv heads of all batch entries; how many have their turn together
  std::int64_t tile_rows, tiles, tasks;  // queries of a tile, tiles per row set
  std::int64_t together;                 // tasks that one thread does at once
  std::int64_t chunk, chunks;            // keys per chunk, chunks of keys
  std::int64_t first_head = 0;
  C* partial_y = nullptr;    // [tasks][chunks][tile_rows][v_dim] when chunks > 1
  C* partial_lse = nullptr;  // [tasks][chunks][tile_rows]

  Forward(const Problem<T>& p, AttentionView<T> y, C* lse) : problem(p), y(y), lse(lse) {
    few = p.set_rows() < kFewQueries<C>;
    heads = p.shape.batch * p.shape.kv_heads;
    const std::int64_t blocks = divide_up(p.set_rows(), lanes);
    const bool several = p.sets_of_head() * divide_up(blocks, kTileBlocks<C>) > 1;  // tiles that read the same keys
    copied = several && !few && !in_bf16() && (widens || copy_pays(p.sets_of_head() * blocks));
    const std::int64_t bytes = PackedHeads<C>::size(p.shape) * static_cast<std::int64_t>(sizeof(C));
    const std::int64_t fit = kMostCopied / std::max<std::int64_t>(1, bytes);
    at_once = copied ? even_part(heads, std::max<std::int64_t>(1, fit)) : heads;
    const std::int64_t sets = at_once * p.sets_of_head();
    const std::int64_t most = std::clamp<std::int64_t>(sets * blocks / kManyTasks, kTileBlocks<C>, kMostBlocks<C>);
    tile_rows = few ? p.set_rows() : lanes * even_part(blocks, most);
    tiles = tile_rows > 0 ? divide_up(p.set_rows(), tile_rows) : 0;
    tasks = heads * p.sets_of_head() * tiles;
    const bool alike = p.mask.keep == nullptr || p.mask.keep_strides[1] == 0;  // all heads, in which keys are valid
    const bool in_order = p.k.side_by_side(p.shape.kv_heads) && p.v.side_by_side(p.shape.kv_heads);
    together = few && alike && in_order ? std::max<std::int64_t>(1, p.row_sets()) : 1;
    split_keys(few ? kGroupKeys : kTileKeys, sets * tiles);
  }

  static constexpr bool widens = !std::is_same_v<T, C>;
  static bool in_bf16() { return std::is_same_v<T, bf16> && simd::multiplies_pairs(); }

  // Chunks are multiples of `tile` keys, and there are more than one where tasks at once are few.
  void split_keys(std::int64_t tile, std::int64_t tasks_at_once) {
    const std::int64_t keys = problem.shape.kv_len;
    const std::int64_t wanted = tasks_at_once > 0 ? divide_up(kEnoughTasks * together, tasks_at_once) : 1;
    chunks = std::max<std::int64_t>(1, std::min(wanted, keys * together / kLeastChunk));
    chunk = std::max<std::int64_t>(1, divide_up(divide_up(keys, chunks), tile)) * tile;
    chunks = std::max<std::int64_t>(1, divide_up(keys, chunk));
  }

  // Task t is a tile of queries; the last tiles of a head come first, they are the long ones under a causal mask.
  struct Tile {
    std::int64_t batch, set, first_row;
    int count;
  };
  Tile tile(std::int64_t task) const {
    const std::int64_t first = (tiles - 1 - task % tiles) * tile_rows, head = task / tiles;
    return {head / problem.row_sets(), head % problem.row_sets(), first,
            static_cast<int>(std::min<std::int64_t>(tile_rows, problem.set_rows() - first))};
  }

  // The keys of `part` that some query of the tile can see.
  KeyRange keys(const Tile& at, std::int64_t part, std::int64_t any_limit) const {
    const KeyRange valid = valid_keys(problem, at.batch, at.set);
    return {std::max(valid.begin, part * chunk), std::min({valid.end, (part + 1) * chunk, any_limit})};
  }

  void run_all(C* memory);
  void copy(const PackedHeads<C>& copies, std::int64_t count) const;
  KeyRange seen_of_head(std::int64_t batch, std::int64_t head) const;
  void run(const PackedHeads<C>& copies, std::int64_t task, std::int64_t part) const;
  void run_bf16(std::int64_t task, std::int64_t part) const;
  void run_few(std::int64_t first_task, std::int64_t part) const;
  void score_few(const QueryBlock<T>& block, int i, std::int64_t key0, int count, C* s) const;
  void finish(const QueryBlock<T>& block, OnlineSoftmax<C>& state, std::int64_t slot, int first_lane) const;
  void merge(std::int64_t task) const;
};

// `memory`: for the copies of at_once heads, or none.
template <class T>
void Forward<T>::run_all(C* memory) {
  const PackedHeads<C> copies(problem.shape, copied ? at_once : 0, memory);
  const std::int64_t runs_of_head = problem.sets_of_head() * tiles * chunks;
  for (; first_head < heads; first_head += at_once) {
    const std::int64_t count = std::min(at_once, heads - first_head), first = first_head * runs_of_head / together;
    if (copied) copy(copies, count);
    run_parallel(count * runs_of_head / together, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = first + begin; i < first + end; ++i) {
        if (few) {
          run_few(i / chunks * together, i % chunks);
        } else if (in_bf16()) {
          run_bf16(i / chunks, i % chunks);
        } else {
          run(copies, i / chunks, i % chunks);
        }
      }
    });
  }
}

// The keys between the first and the last that some query of a kv head sees.
template <class T>
KeyRange Forward<T>::seen_of_head(std::int64_t batch, std::int64_t head) const {
  const auto& shape = problem.shape;
  KeyRange seen{shape.kv_len, 0};
  for (std::int64_t set = head * problem.sets_of_head(); set < (head + 1) * problem.sets_of_head(); ++set) {
    const KeyRange valid = valid_keys(problem, batch, set);
    if (valid.begin < valid.end) seen = {std::min(seen.begin, valid.begin), std::max(seen.end, valid.end)};
  }
  return {seen.begin, std::min(seen.end, problem.mask.causal_limit(batch, shape.q_len - 1, shape.kv_len))};
}

// Copies K and V of `count` kv heads from first_head on, as far as they are seen.
template <class T>
void Forward<T>::copy(const PackedHeads<C>& copies, std::int64_t count) const {
  const auto& shape = problem.shape;
  const std::int64_t tiles_of_head = divide_up(shape.kv_len, kTileKeys);
  const Scratch<KeyRange> seen(count);
  run_parallel(count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      seen[i] = seen_of_head((first_head + i) / shape.kv_heads, (first_head + i) % shape.kv_heads);
  });
  run_parallel(count * tiles_of_head, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const std::int64_t i = tile / tiles_of_head, key = tile % tiles_of_head * kTileKeys;
      const std::int64_t batch = (first_head + i) / shape.kv_heads, head = (first_head + i) % shape.kv_heads;
      const std::int64_t from = std::max(key, seen[i].begin), to = std::min(key + kTileKeys, seen[i].end);
      if (from >= to) continue;
      const std::int64_t pack = from / kBlockRows * kBlockRows;  // which may begin before what may be read
      pack_rows<C>([&](int j) { return problem.k.row(batch, head, std::max(pack + j, from)); },
                   static_cast<int>(to - pack), shape.qk_dim, copies.k(i, pack));
      pack_columns<C>([&](int j) { return problem.v.row(batch, head, from + j); }, static_cast<int>(to - from),
                      shape.v_dim, copies.v(i, from));
    }
  });
}

template <class T>
void Forward<T>::run(const PackedHeads<C>& copies, std::int64_t task, std::int64_t part) const {
  const auto& shape = problem.shape;
  const Tile at = tile(task);
  const int blocks = (at.count + lanes - 1) / lanes;
  const std::int64_t panel = shape.qk_dim * lanes, acc = shape.v_dim * lanes, scores = kTileKeys * lanes;
  const bool masked = problem.mask.bias != nullptr || problem.mask.keep != nullptr;
  const std::int64_t k_size = !copied && widens ? kTileKeys * copy_pitch<C>(shape.qk_dim) : 0;
  const std::int64_t v_size = !copied && (widens || copy_pays(blocks)) ? kTileKeys * copy_pitch<C>(shape.v_dim) : 0;
  const Scratch<C> memory(blocks * (panel + acc) + scores * (masked ? 2 : 1) + k_size + v_size);
  C* const s = memory.data() + blocks * (panel + acc);
  C* const extra = s + scores;
  C* const of_tile = extra + (masked ? scores : 0);  // copies, where whole heads are not copied
  C *const k_of_tile = k_size > 0 ? of_tile : nullptr, *const v_of_tile = v_size > 0 ? of_tile + k_size : nullptr;

  QueryBlock<T> block[kMostBlocks<C>];
  OnlineSoftmax<C> state[kMostBlocks<C>];
  std::int64_t any_limit = 0;
  for (int b = 0; b < blocks; ++b) {
    block[b] = query_block(problem, at.batch, at.set, at.first_row + b * lanes, std::min(lanes, at.count - b * lanes));
    state[b].begin(memory.data() + blocks * panel + b * acc, shape.v_dim, block[b].vectors);
    any_limit = std::max(any_limit, block[b].any_limit);
    const T* rows[lanes];
    for (int i = 0; i < block[b].vectors * simd::kLanes<C>; ++i) {
      rows[i] = problem.q.row(at.batch, block[b].heads[i], block[b].queries[i]);
    }
    pack_panel<C>(rows, 1, shape.qk_dim, block[b].vectors, Rows<C>{memory.data() + b * panel, lanes});
  }

  // Takes in keys [key, key + count).
  const auto add = [&](std::int64_t key, int count, const auto& of) {
    for (int b = 0; b < blocks; ++b) {
      const Visible seen = visible(problem, block[b], key, count, extra);
      if (!seen.any) continue;
      const Rows<C> products{s, lanes}, of_keys{products.row(of.before), lanes};
      tile_scores<C>(of.k, of.before + count, {memory.data() + b * panel, lanes}, block[b].vectors, shape.qk_dim,
                     problem.factor, products, of.ahead_k);
      mask_tile(problem, block[b], key, count, seen, of_keys, extra);
      state[b].add(of_keys.data, count, problem.unit, of.v, shape.v_dim, of.ahead_v);
    }
  };
  const KeyRange range = keys(at, part, any_limit);
  const std::int64_t head = problem.kv_head(at.set), copied_head = at.batch * shape.kv_heads + head - first_head;
  for (std::int64_t key = range.begin, next; key < range.end; key = next) {
    next = std::min((key / kTileKeys + 1) * kTileKeys, range.end);
    const int count = static_cast<int>(next - key), before = static_cast<int>(key % kBlockRows);
    if (copied) {
      add(key, count,
          KeyTile<Packs<const C>>{copies.k(copied_head, key - before), copies.v(copied_head, key), before,
                                  kTileKeys * shape.qk_dim, kTileKeys * packed(shape.v_dim)});
    } else {
      const auto rows = [&](const AttentionView<const T>& x, std::int64_t dim, C* copy) {
        return rows_as<C>(x.row(at.batch, head, key), x.row_stride, count, dim, copy);
      };
      const auto k = rows(problem.k, shape.qk_dim, k_of_tile), v = rows(problem.v, shape.v_dim, v_of_tile);
      add(key, count,
          KeyTile<Rows<const C>>{k, v, 0, kScoresAhead * k.stride, v_of_tile != nullptr ? 0 : kTileKeys * v.stride});
    }
  }
  for (int b = 0; b < blocks; ++b) finish(block[b], state[b], task * chunks + part, b * lanes);
}

// The same where the CPU multiplies bf16.
template <class T>
void Forward<T>::run_bf16(std::int64_t task, std::int64_t part) const {
  if constexpr (std::is_same_v<T, bf16>) {
    const Tile at = tile(task);
    Bf16Queries queries(problem, at.batch, at.set, at.first_row, at.count);
    const KeyRange range = keys(at, part, queries.any_limit);
    for (std::int64_t key = range.begin; key < range.end; key += kTileKeys)
      queries.add(key, static_cast<int>(std::min<std::int64_t>(kTileKeys, range.end - key)));
    for (int b = 0; b < queries.blocks; ++b)
      finish(queries.block[b], queries.state[b], task * chunks + part, b * lanes);
  }
}

// The same for `together` row sets, neighbours of one batch entry, of fewer than kFewQueries rows: each is a tile of
// its own and has a kv head of its own.
template <class T>
void Forward<T>::run_few(std::int64_t first_task, std::int64_t part) const {
  const auto& shape = problem.shape;
  const std::int64_t rows = problem.set_rows(), batch = tile(first_task).batch, first_set = tile(first_task).set;
  const Scratch<QueryBlock<T>> blocks(together);
  for (std::int64_t t = 0; t < together; ++t)
    blocks[t] = query_block(problem, batch, first_set + t, 0, static_cast<int>(rows));
  const auto query = [&](std::int64_t i, auto&& f) {
    const auto& block = blocks[i / rows];
    return f(block.heads[i % rows], block.queries[i % rows]);
  };
  const std::int64_t head = problem.kv_head(first_set);
  const KeyRows<T> at{.k = {problem.k.row(batch, head, 0), problem.k.row_stride},
                      .v = {problem.v.row(batch, head, 0), problem.v.row_stride},
                      .qk_dim = shape.qk_dim,
                      .v_dim = shape.v_dim,
                      .heads = together,
                      .k_head_step = problem.k.head_stride,
                      .v_head_step = problem.v.head_stride};
  const Scratch<C> memory(FewQueries<T>::size(shape, together * rows));
  FewQueries<T> few(at, rows, memory.data(), [&](std::int64_t i) {
    return query(i, [&](std::int64_t h, std::int64_t q) { return problem.q.row(batch, h, q); });
  });
  const KeyRange range = keys(tile(first_task), part, blocks[0].any_limit);
  few.add(range.begin, range.end, problem.unit, [&](std::int64_t i, std::int64_t key, int count, C* s) {
    score_few(blocks[i / rows], static_cast<int>(i % rows), key, count, s);
  });
  for (std::int64_t i = 0; i < together * rows; ++i) {
    const std::int64_t slot = ((first_task + i / rows) * chunks + part) * tile_rows + i % rows;
    if (chunks > 1) {
      partial_lse[slot] = few.finish(i, problem.natural, partial_y + slot * shape.v_dim);
      continue;
    }
    query(i, [&](std::int64_t h, std::int64_t q) {
      const C log_sum = few.finish(i, problem.natural, y.row(batch, h, q));
      if (lse != nullptr) lse[(batch * shape.q_heads + h) * shape.q_len + q] = log_sum;
    });
  }
}

// Products of query i with keys [key0, key0 + count), count <= kGroupKeys, become scores.
template <class T>
void Forward<T>::score_few(const QueryBlock<T>& block, int i, std::int64_t key0, int count, C* s) const {
  for (int j = 0; j < kGroupKeys; j += simd::kLanes<C>) {
    const simd::Vec<C> x = simd::load(s + j) * problem.factor;
    simd::store<C>(s + j, problem.cap != C(0) ? simd::tanh<C>(x) * problem.cap : x);
  }
  const auto& m = problem.mask;
  for (int j = 0; m.bias != nullptr && j < count; ++j)
    s[j] += static_cast<C>(block.bias_rows[i][(key0 + j) * m.bias_strides[3]]);
  for (int j = 0; m.keep != nullptr && j < count; ++j)
    if (block.keep_rows[i][(key0 + j) * m.keep_strides[3]] == 0) s[j] = FewQueries<T>::hidden;
  for (int j = 0; j < count; ++j)
    if (key0 + j >= block.limits[i]) s[j] = FewQueries<T>::hidden;
}

// y = acc / weight and lse = m + log(weight), to the outputs or to the partial results of `slot`.
template <class T>
void Forward<T>::finish(const QueryBlock<T>& block, OnlineSoftmax<C>& state, std::int64_t slot, int first_lane) const {
  const std::int64_t v_dim = problem.shape.v_dim;
  C inverse[lanes]{}, log_sum[lanes];
  state.finish(problem.natural, v_dim, block.count, inverse, log_sum);
  for (int i = 0; i < block.count; ++i) {
    if (chunks > 1) {
      partial_lse[slot * tile_rows + first_lane + i] = log_sum[i];
    } else if (lse != nullptr) {
      lse[(block.batch * problem.shape.q_heads + block.heads[i]) * problem.shape.q_len + block.queries[i]] = log_sum[i];
    }
  }
  if (chunks > 1) {
    C* rows[lanes];
    for (int i = 0; i < block.count; ++i) rows[i] = partial_y + (slot * tile_rows + first_lane + i) * v_dim;
    unpack_panel<C>(Rows<const C>{state.acc, lanes}, inverse, block.count, v_dim, rows);
  } else {
    T* rows[lanes];
    for (int i = 0; i < block.count; ++i) rows[i] = y.row(block.batch, block.heads[i], block.queries[i]);
    unpack_panel<C>(Rows<const C>{state.acc, lanes}, inverse, block.count, v_dim, rows);
  }
}

// y = sum_p e^(lse_p - lse) y_p over the chunks of keys, in their order.
template <class T>
void Forward<T>::merge(std::int64_t task) const {
  const Tile at = tile(task);
  const std::int64_t v_dim = problem.shape.v_dim;
  const Scratch<C> sum(v_dim);
  for (int i = 0; i < at.count; ++i) {
    const auto slot = [&](std::int64_t part) { return (task * chunks + part) * tile_rows + i; };
    C top = -std::numeric_limits<C>::infinity(), weight = 0;
    for (std::int64_t part = 0; part < chunks; ++part) top = std::max(top, partial_lse[slot(part)]);
    const C shift = top == -std::numeric_limits<C>::infinity() ? C(0) : top;
    std::fill_n(sum.data(), v_dim, C(0));
    for (std::int64_t part = 0; part < chunks; ++part) {
      const C w = std::exp(partial_lse[slot(part)] - shift);
      if (w == C(0)) continue;
      weight += w;
      const C* from = partial_y + slot(part) * v_dim;
      for (std::int64_t c = 0; c < v_dim; ++c) sum[c] += w * from[c];
    }
    const std::int64_t head = problem.head(at.set, at.first_row + i), query = problem.query(at.first_row + i);
    T* to = y.row(at.batch, head, query);
    const C inverse = weight == C(0) ? C(0) : C(1) / weight;
    for (std::int64_t c = 0; c < v_dim; ++c) to[c] = static_cast<T>(sum[c] * inverse);
    if (lse != nullptr) {
      lse[(at.batch * problem.shape.q_heads + head) * problem.shape.q_len + query] = shift + std::log(weight);
    }
  }
}

}  // namespace
}  // namespace attention

template <class T>
void attention_forward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                       AttentionView<const T> v, const AttentionMask<T>& mask, double scale, double softcap,
                       AttentionView<T> y, Compute<T>* lse) {
  using C = Compute<T>;
  attention::Forward<T> forward(attention::Problem<T>(shape, q, k, v, mask, scale, softcap), y, lse);
  const std::int64_t chunks = forward.chunks, slots = forward.tasks * chunks * forward.tile_rows;
  const Scratch<C> partial(chunks > 1 ? slots * (shape.v_dim + 1) : 0);
  forward.partial_y = partial.data();
  forward.partial_lse = partial.data() + slots * shape.v_dim;
  const Scratch<C> copies(forward.copied ? forward.at_once * attention::PackedHeads<C>::size(shape) : 0);
  forward.run_all(copies.data());
  if (chunks == 1) return;
  run_parallel(forward.tasks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) forward.merge(i);
  });
}

template void attention_forward(const AttentionShape&, AttentionView<const float>, AttentionView<const float>,
                                AttentionView<const float>, const AttentionMask<float>&, double, double,
                                AttentionView<float>, float*);
template void attention_forward(const AttentionShape&, AttentionView<const double>, AttentionView<const double>,
                                AttentionView<const double>, const AttentionMask<double>&, double, double,
                                AttentionView<double>, double*);
template void attention_forward(const AttentionShape&, AttentionView<const f16>, AttentionView<const f16>,
                                AttentionView<const f16>, const AttentionMask<f16>&, double, double, AttentionView<f16>,
                                float*);
template void attention_forward(const AttentionShape&, AttentionView<const bf16>, AttentionView<const bf16>,
                                AttentionView<const bf16>, const AttentionMask<bf16>&, double, double,
                                AttentionView<bf16>, float*);

}  // namespace tessera
