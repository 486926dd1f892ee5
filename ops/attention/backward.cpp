// With p = 2^((s - lse) unit), all per tile of keys j and queries i (Dao et al. 2022, appendix B.4):
//   dv_j += sum_i p_ij dy_i      dp_ij = dy_i . v_j      ds_ij = p_ij (dp_ij - delta_i),  delta_i = dy_i . y_i - dlse_i
//   dq_i += g sum_j ds_ij k_j    dk_j += g sum_i ds_ij q_i,  g = scale (1 - tanh^2) with softcap, else scale
// Queries are the outer loop: their packed panels and dq stay in cache while K, V, dk and dv pass by.
//
// Keys and queries of a kv head are cut into ranges. A task takes a range of keys and a range of queries; in round r,
// keys c meet queries c + r, so that no two tasks of a round share either: all add to dq, dk and dv where they lie, in
// the order of the rounds.
#include "ops/attention/kernel.h"
#include "ops/attention/query_tile.h"
#include "runtime/base/parts.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace attention {
namespace {

constexpr std::int64_t kEnoughTasks = 64;   // of a round
constexpr std::int64_t kLargeRange = 1024;  // keys or queries: half as many cost 3 % more loads and sums

template <class T>
struct Backward {
  using C = Compute<T>;
  static constexpr int lanes = kBlockLanes<C>;
  static constexpr int vector = simd::kLanes<C>;
  static constexpr bool converts = !std::is_same_v<T, C>;

  Problem<T> problem;
  AttentionView<const T> dy;
  C scale;
  AttentionView<C> dq, dk, dv;  // sums, zero at first
  C* dbias;
  const QueryState<C>* states;
  std::int64_t keys, rows;  // of a range

  // What one task keeps while it walks over the tiles of its queries.
  struct Work {
    std::int64_t batch, kv_head;
    C* dq_acc;           // per block [qk_dim][lanes]
    C *p, *ds;           // [kTileKeys][kTileQueries]
    C *extra, *tanh;     // [kTileKeys][lanes], [kTileKeys][kTileQueries]
    C *k_copy, *v_copy;  // [kTileKeys][dim] of a tile, or null, see rows_as
  };
  using Tile = QueryTile<T>;

  std::int64_t key_ranges() const { return divide_up(problem.shape.kv_len, keys); }
  std::int64_t row_ranges() const { return divide_up(problem.set_rows(), rows); }
  std::int64_t rounds() const { return std::max(key_ranges(), row_ranges()); }

  void run(std::int64_t batch, std::int64_t kv_head, std::int64_t key_range, std::int64_t row_range) const;
  void add_keys(const Work& work, const Tile& tile, std::int64_t key0, int key_count) const;
  bool differentiate(const Work& work, const Tile& tile, int b, std::int64_t key0, int key_count, Rows<const C> k,
                     Rows<const C> v) const;
  void add_dbias(const QueryBlock<T>& block, std::int64_t key0, int key_count, Rows<const C> ds) const;
  void add_dq(const Work& work, const Tile& tile) const;
};

// One task: a range of the keys of a kv head against a range of the rows of its sets.
template <class T>
void Backward<T>::run(std::int64_t batch, std::int64_t kv_head, std::int64_t key_range, std::int64_t row_range) const {
  const auto& shape = problem.shape;
  const std::int64_t end_key = std::min(shape.kv_len, (key_range + 1) * keys);
  Work work{};
  work.batch = batch;
  work.kv_head = kv_head;
  Tile tile;
  const std::int64_t q_pitch = tile.q_pitch = copy_pitch<C>(shape.qk_dim);
  const std::int64_t v_pitch = tile.v_pitch = copy_pitch<C>(shape.v_dim);
  const std::int64_t k_copy = converts || copy_pays(kTileBlocks<C>) ? kTileKeys * q_pitch : 0;
  const std::int64_t v_copy = converts ? kTileKeys * v_pitch : 0, square = kTileKeys * kTileQueries;
  const Scratch<C> memory(kTileQueries * (q_pitch + v_pitch + 2 * shape.qk_dim + shape.v_dim) +
                          square * (problem.cap != C(0) ? 3 : 2) + kTileKeys * lanes + k_copy + v_copy);
  C* next = memory.data();
  const auto take = [&](std::int64_t n) { return std::exchange(next, next + n); };
  tile.q_rows = take(kTileQueries * q_pitch);
  tile.dy_rows = take(kTileQueries * v_pitch);
  tile.q_panel = take(kTileQueries * shape.qk_dim);
  tile.dy_panel = take(kTileQueries * shape.v_dim);
  work.dq_acc = take(kTileQueries * shape.qk_dim);
  work.p = take(square);
  work.ds = take(square);
  work.extra = take(kTileKeys * lanes);
  work.tanh = problem.cap != C(0) ? take(square) : nullptr;
  work.k_copy = k_copy > 0 ? take(k_copy) : nullptr;
  work.v_copy = v_copy > 0 ? take(v_copy) : nullptr;

  const std::int64_t sets = problem.folded ? 1 : shape.group();
  const std::int64_t end_row = std::min(problem.set_rows(), (row_range + 1) * rows);
  for (std::int64_t set = kv_head * sets; set < (kv_head + 1) * sets; ++set) {
    const KeyRange valid = valid_keys(problem, batch, set);
    for (std::int64_t row = row_range * rows; row < end_row; row += kTileQueries) {
      const std::int64_t begin = std::max(valid.begin, key_range * keys);
      tile.begin(problem, batch, set, row, end_row);
      const std::int64_t end = std::min({valid.end, end_key, tile.any_limit});
      if (begin >= end) continue;
      tile.load(problem, dy, states);
      std::fill_n(work.dq_acc, kTileQueries * shape.qk_dim, C(0));
      for (std::int64_t key = begin; key < end; key += kTileKeys) {
        add_keys(work, tile, key, static_cast<int>(std::min<std::int64_t>(kTileKeys, end - key)));
      }
      add_dq(work, tile);
    }
  }
}

template <class T>
void Backward<T>::add_keys(const Work& work, const Tile& tile, std::int64_t key0, int key_count) const {
  const auto& shape = problem.shape;
  const auto k = rows_as<C>(problem.k.row(work.batch, work.kv_head, key0), problem.k.row_stride, key_count,
                            shape.qk_dim, work.k_copy);
  const auto v = rows_as<C>(problem.v.row(work.batch, work.kv_head, key0), problem.v.row_stride, key_count, shape.v_dim,
                            work.v_copy);
  bool seen[kTileBlocks<C>], any = false;
  for (int b = 0; b < tile.blocks; ++b) {
    seen[b] = differentiate(work, tile, b, key0, key_count, k, v);
    any = any || seen[b];
  }
  if (!any) return;
  for (int b = 0; b < tile.blocks; ++b) {
    for (int j = 0; j < key_count && !seen[b]; ++j) {
      std::fill_n(work.p + j * kTileQueries + b * lanes, lanes, C(0));
      std::fill_n(work.ds + j * kTileQueries + b * lanes, lanes, C(0));
    }
  }
  tile_outer<C>({work.p, kTileQueries}, key_count, tile.count, {tile.dy_rows, tile.v_pitch}, shape.v_dim,
                {dv.row(work.batch, work.kv_head, key0), dv.row_stride});
  tile_outer<C>({work.ds, kTileQueries}, key_count, tile.count, {tile.q_rows, tile.q_pitch}, shape.qk_dim,
                {dk.row(work.batch, work.kv_head, key0), dk.row_stride});
}

// p and g ds of block b, its part of dq; false, and nothing written, if the block sees none of the keys.
template <class T>
bool Backward<T>::differentiate(const Work& work, const Tile& tile, int b, std::int64_t key0, int key_count,
                                Rows<const C> k, Rows<const C> v) const {
  using V = simd::Vec<C>;
  const auto& shape = problem.shape;
  const auto& block = tile.block[b];
  const int first = b * lanes;
  const Rows<C> p{work.p + first, kTileQueries}, ds{work.ds + first, kTileQueries};
  C* const tanh = work.tanh != nullptr ? work.tanh + first : nullptr;
  const Rows<const C> queries{tile.q_panel + first * shape.qk_dim, lanes};
  if (!score_tile(problem, block, key0, key_count, k, queries, p, work.extra, tanh)) return false;
  tile_scores<C>(v, key_count, {tile.dy_panel + first * shape.v_dim, lanes}, block.vectors, shape.v_dim, C(1), ds,
                 kScoresAhead * v.stride);
  const bool plain = dbias == nullptr && tanh == nullptr;  // then scale can be applied in the same pass
  const C gain = plain ? scale : C(1);
  score_gradients(p, ds, key_count, block.vectors, tile.shift + first, tile.norm + first, tile.delta + first,
                  problem.unit, gain);
  if (dbias != nullptr) add_dbias(block, key0, key_count, {ds.data, ds.stride});
  for (int j = 0; j < key_count && !plain; ++j) {
    for (int lane = 0; lane < block.vectors * vector; lane += vector) {
      const V t = tanh != nullptr ? simd::load(tanh + j * kTileQueries + lane) : V{};
      simd::store<C>(ds.row(j) + lane, simd::load(ds.row(j) + lane) * (C(1) - t * t) * scale);
    }
  }
  C ones[lanes];
  std::fill_n(ones, lanes, C(1));
  tile_accumulate<C>(k, key_count, shape.qk_dim, {ds.data, ds.stride}, block.vectors, ones,
                     {work.dq_acc + first * shape.qk_dim, lanes});
  return true;
}

template <class T>
void Backward<T>::add_dbias(const QueryBlock<T>& block, std::int64_t key0, int key_count, Rows<const C> ds) const {
  const auto& strides = problem.mask.bias_strides;
  for (int i = 0; i < block.count; ++i) {
    C* to = dbias + block.batch * strides[0] + block.heads[i] * strides[1] + block.queries[i] * strides[2];
    for (int j = 0; j < key_count; ++j) to[(key0 + j) * strides[3]] += ds.row(j)[i];
  }
}

template <class T>
void Backward<T>::add_dq(const Work& work, const Tile& tile) const {
  C ones[lanes];
  std::fill_n(ones, lanes, C(1));
  for (int b = 0; b < tile.blocks; ++b) {
    const auto& block = tile.block[b];
    C* to[lanes];
    for (int i = 0; i < block.count; ++i) to[i] = dq.row(block.batch, block.heads[i], block.queries[i]);
    unpack_panel<C>(Rows<const C>{work.dq_acc + b * lanes * problem.shape.qk_dim, lanes}, ones, block.count,
                    problem.shape.qk_dim, to, [&](int i, std::int64_t c, auto x) {
                      if constexpr (std::is_same_v<decltype(x), C>) {
                        return to[i][c] + x;
                      } else {
                        return simd::load<C>(to[i] + c) + x;
                      }
                    });
  }
}

// A gradient as it is summed: where it goes or, for 16-bit types and where asked to, apart: [batch, heads, length,
// dim].
template <class T>
class Sum {
 public:
  using C = Compute<T>;
  Sum(AttentionView<T> out, std::int64_t batch, std::int64_t heads, std::int64_t length, std::int64_t dim, bool apart)
      : out_(out),
        heads_(heads),
        length_(length),
        dim_(dim),
        rows_(batch * heads * length),
        apart_(apart || !std::is_same_v<T, C>),
        memory_(apart_ ? rows_ * dim : 0) {
    for_each_row([&](std::int64_t b, std::int64_t h, std::int64_t i) { std::fill_n(view().row(b, h, i), dim_, C(0)); });
  }
  AttentionView<C> view() const {
    if constexpr (std::is_same_v<T, C>)
      if (!apart_) return out_;
    return {memory_.data(), heads_ * length_ * dim_, length_ * dim_, dim_};
  }
  void finish() const {
    if (!apart_) return;
    for_each_row([&](std::int64_t b, std::int64_t h, std::int64_t i) {
      const C* const from = view().row(b, h, i);
      std::transform(from, from + dim_, out_.row(b, h, i), [](C x) { return static_cast<T>(x); });
    });
  }

 private:
  template <class F>
  void for_each_row(F f) const {
    run_parallel(rows_, 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) f(row / length_ / heads_, row / length_ % heads_, row % length_);
    });
  }

  AttentionView<T> out_;
  std::int64_t heads_, length_, dim_, rows_;
  bool apart_;
  Scratch<C> memory_;
};

// n things in about `parts` ranges of whole tiles: the size of a range.
std::int64_t range_of(std::int64_t n, std::int64_t parts, std::int64_t tile) {
  return std::max<std::int64_t>(1, divide_up(divide_up(n, parts), tile)) * tile;
}

}  // namespace
}  // namespace attention

template <class T>
void attention_backward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                        AttentionView<const T> v, const AttentionMask<T>& mask, double scale, double softcap,
                        AttentionView<const T> y, const Compute<T>* lse, AttentionView<const T> dy,
                        const AttentionGradients<T>& gradients, const Compute<T>* dlse) {
  using namespace attention;
  using C = Compute<T>;
  const Problem<T> problem(shape, q, k, v, mask, scale, softcap);
  const std::int64_t set_rows = problem.set_rows(), tiles = divide_up(set_rows, kBlockLanes<C>);
  // Sums of dk and dv are visited once per tile of queries: rows a page apart, as in [B,L,H,D], would cost a tenth.
  const auto of_keys = [&](AttentionView<T> out, std::int64_t dim) {
    return Sum<T>(out, shape.batch, shape.kv_heads, shape.kv_len, dim, out.row_stride != dim);
  };
  const Sum<T> dq(gradients.dq, shape.batch, shape.q_heads, shape.q_len, shape.qk_dim, false);
  const Sum<T> dk = of_keys(gradients.dk, shape.qk_dim), dv = of_keys(gradients.dv, shape.v_dim);
  const Scratch<QueryState<C>> states(shape.batch * shape.q_heads * shape.q_len);
  const QueryStates<T> of_queries(problem, y, dy, lse, dlse);
  run_parallel(shape.batch * problem.row_sets() * tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t set = i / tiles % problem.row_sets(), row = i % tiles * kBlockLanes<C>;
      const int count = static_cast<int>(std::min<std::int64_t>(kBlockLanes<C>, set_rows - row));
      of_queries.write(set, query_block(problem, i / tiles / problem.row_sets(), set, row, count), states.data());
    }
  });

  // Tasks that would add to the same element of dbias run one after the other.
  const bool bias_sums = gradients.dbias != nullptr;
  const std::int64_t batches = bias_sums && mask.bias_strides[0] == 0 ? 1 : shape.batch;
  const std::int64_t heads = bias_sums && mask.bias_strides[1] == 0 ? 1 : shape.kv_heads;
  const std::int64_t wanted = divide_up(kEnoughTasks, std::max<std::int64_t>(1, batches * heads));
  std::int64_t parts = std::max(std::min(divide_up(shape.kv_len, kLargeRange), divide_up(set_rows, kLargeRange)),
                                std::min({wanted, shape.kv_len / kTileKeys, set_rows / kTileQueries}));
  if (parts == 0 || (bias_sums && mask.bias_strides[3] == 0)) parts = 1;
  const Backward<T> task{problem,
                         dy,
                         static_cast<C>(scale),
                         dq.view(),
                         dk.view(),
                         dv.view(),
                         gradients.dbias,
                         states.data(),
                         range_of(shape.kv_len, parts, kTileKeys),
                         range_of(set_rows, parts, kTileQueries)};
  const std::int64_t ranges = task.key_ranges(), rounds = task.rounds();
  for (std::int64_t batch = 0; batch < shape.batch; batch += batches) {
    for (std::int64_t head = 0; head < shape.kv_heads; head += heads) {
      for (std::int64_t round = 0; round < rounds; ++round) {
        run_parallel(batches * heads * ranges, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t key_range = i % ranges, row_range = (key_range + round) % rounds;
            if (row_range < task.row_ranges())
              task.run(batch + i / ranges / heads, head + i / ranges % heads, key_range, row_range);
          }
        });
      }
    }
  }
  dq.finish(), dk.finish(), dv.finish();
}

template void attention_backward(const AttentionShape&, AttentionView<const float>, AttentionView<const float>,
                                 AttentionView<const float>, const AttentionMask<float>&, double, double,
                                 AttentionView<const float>, const float*, AttentionView<const float>,
                                 const AttentionGradients<float>&, const float*);
template void attention_backward(const AttentionShape&, AttentionView<const double>, AttentionView<const double>,
                                 AttentionView<const double>, const AttentionMask<double>&, double, double,
                                 AttentionView<const double>, const double*, AttentionView<const double>,
                                 const AttentionGradients<double>&, const double*);
template void attention_backward(const AttentionShape&, AttentionView<const f16>, AttentionView<const f16>,
                                 AttentionView<const f16>, const AttentionMask<f16>&, double, double,
                                 AttentionView<const f16>, const float*, AttentionView<const f16>,
                                 const AttentionGradients<f16>&, const float*);
template void attention_backward(const AttentionShape&, AttentionView<const bf16>, AttentionView<const bf16>,
                                 AttentionView<const bf16>, const AttentionMask<bf16>&, double, double,
                                 AttentionView<const bf16>, const float*, AttentionView<const bf16>,
                                 const AttentionGradients<bf16>&, const float*);

}  // namespace tessera
