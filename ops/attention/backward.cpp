// With p = 2^((s - lse) unit), all per tile of keys j and queries i (Dao et al. 2022, appendix B.4):
//   dv_j += sum_i p_ij dy_i      dp_ij = dy_i . v_j      ds_ij = p_ij (dp_ij - delta_i),  delta_i = dy_i . y_i - dlse_i
//   dq_i += g sum_j ds_ij k_j    dk_j += g sum_i ds_ij q_i,  g = scale (1 - tanh^2) with softcap, else scale
// Queries are the outer loop: their packed panels and dq stay in cache while K, V, dk and dv pass by.
#include "ops/attention/kernel.h"
#include "ops/attention/query_tile.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace attention {
namespace {

constexpr std::int64_t kEnoughTasks = 16;
constexpr std::int64_t kLeastChunk = 512;

template <class T>
struct Backward {
  using C = Compute<T>;
  static constexpr int lanes = kBlockLanes<C>;
  static constexpr int vector = simd::kLanes<C>;
  static constexpr bool converts = !std::is_same_v<T, C>;

  Problem<T> problem;
  AttentionView<const T> y, dy;
  AttentionGradients<T> out;
  const C *lse, *dlse;
  C scale;
  std::int64_t chunk, chunks;  // keys per chunk, chunks of keys
  C* partial_dq = nullptr;     // [chunks - 1][batch][q_heads][q_len][qk_dim]: dq of the chunks after the first

  // What one task keeps while it walks over the tiles of queries of its keys.
  struct Work {
    std::int64_t batch, kv_head, part;
    KeyRange keys;       // the chunk
    Rows<C> dk, dv;      // of the chunk
    C* dq_acc;           // per block [qk_dim][lanes]
    C *p, *ds;           // [kTileKeys][kTileQueries]
    C *extra, *tanh;     // [kTileKeys][lanes], [kTileKeys][kTileQueries]
    C *k_copy, *v_copy;  // [kTileKeys][dim] for 16-bit types
  };
  using Tile = QueryTile<T>;

  void run(std::int64_t batch, std::int64_t kv_head, std::int64_t part) const;
  void walk(Work& work) const;
  void add_keys(const Work& work, const Tile& tile, std::int64_t key0, int key_count) const;
  bool differentiate(const Work& work, const Tile& tile, int b, std::int64_t key0, int key_count, Rows<const C> k,
                     Rows<const C> v) const;
  void add_dbias(const QueryBlock<T>& block, std::int64_t key0, int key_count, Rows<const C> ds) const;
  void store_dq(const Work& work, const Tile& tile) const;
  void add_partial_dq(std::int64_t row) const;
  std::int64_t flat(std::int64_t batch, std::int64_t head, std::int64_t query) const {
    return flat_row(problem.shape, batch, head, query);
  }
};

// One task: all queries of a kv head against one chunk of its keys. dk and dv are summed in contiguous memory: in
// place, the rows of a [B,L,H,D] layout cost a page each (10 % of the time at dim 128).
template <class T>
void Backward<T>::run(std::int64_t batch, std::int64_t kv_head, std::int64_t part) const {
  const auto& shape = problem.shape;
  Work work{};
  work.batch = batch;
  work.kv_head = kv_head;
  work.part = part;
  work.keys = {part * chunk, std::min(shape.kv_len, (part + 1) * chunk)};
  const std::int64_t keys = work.keys.end - work.keys.begin;
  const Scratch<C> sums(keys * (shape.qk_dim + shape.v_dim));
  work.dk = {sums.data(), shape.qk_dim};
  work.dv = {sums.data() + keys * shape.qk_dim, shape.v_dim};
  std::fill_n(sums.data(), keys * (shape.qk_dim + shape.v_dim), C(0));
  walk(work);
  for (std::int64_t j = 0; j < keys; ++j) {
    T* const dk = out.dk.row(batch, kv_head, work.keys.begin + j);
    T* const dv = out.dv.row(batch, kv_head, work.keys.begin + j);
    std::transform(work.dk.row(j), work.dk.row(j) + shape.qk_dim, dk, [](C x) { return static_cast<T>(x); });
    std::transform(work.dv.row(j), work.dv.row(j) + shape.v_dim, dv, [](C x) { return static_cast<T>(x); });
  }
}

template <class T>
void Backward<T>::walk(Work& work) const {
  const auto& shape = problem.shape;
  Tile tile;
  const std::int64_t q_pitch = tile.q_pitch = copy_pitch<C>(shape.qk_dim);
  const std::int64_t v_pitch = tile.v_pitch = copy_pitch<C>(shape.v_dim);
  const std::int64_t copies = converts ? kTileKeys : 0, square = kTileKeys * kTileQueries;
  const Scratch<C> memory(kTileQueries * (q_pitch + v_pitch + 2 * shape.qk_dim + shape.v_dim) +
                          square * (problem.cap != C(0) ? 3 : 2) + kTileKeys * lanes + copies * (q_pitch + v_pitch));
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
  work.k_copy = take(copies * q_pitch);
  work.v_copy = take(copies * v_pitch);

  const std::int64_t sets = problem.folded ? 1 : problem.shape.group();
  for (std::int64_t set = work.kv_head * sets; set < (work.kv_head + 1) * sets; ++set) {
    const KeyRange valid = valid_keys(problem, work.batch, set);
    for (std::int64_t row = 0; row < problem.set_rows(); row += kTileQueries) {
      tile.load(problem, y, dy, lse, dlse, work.batch, set, row);
      if (tile.coarse) tile.redo_statistics(problem, set, work.p, work.extra, work.k_copy);
      std::fill_n(work.dq_acc, kTileQueries * shape.qk_dim, C(0));
      const std::int64_t begin = std::max(valid.begin, work.keys.begin);
      const std::int64_t end = std::min({valid.end, work.keys.end, tile.any_limit});
      for (std::int64_t key = begin; key < end; key += kTileKeys) {
        add_keys(work, tile, key, static_cast<int>(std::min<std::int64_t>(kTileKeys, end - key)));
      }
      store_dq(work, tile);
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
  const std::int64_t row = key0 - work.keys.begin;
  tile_outer<C>({work.p, kTileQueries}, key_count, tile.count, {tile.dy_rows, tile.v_pitch}, shape.v_dim,
                {work.dv.row(row), work.dv.stride});
  tile_outer<C>({work.ds, kTileQueries}, key_count, tile.count, {tile.q_rows, tile.q_pitch}, shape.qk_dim,
                {work.dk.row(row), work.dk.stride});
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
  const bool plain = out.dbias == nullptr && tanh == nullptr;  // then scale can be applied in the same pass
  const C gain = plain ? scale : C(1);
  score_gradients(p, ds, key_count, block.vectors, tile.shift + first, tile.norm + first, tile.delta + first,
                  problem.unit, gain);
  if (out.dbias != nullptr) add_dbias(block, key0, key_count, {ds.data, ds.stride});
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
    C* to = out.dbias + block.batch * strides[0] + block.heads[i] * strides[1] + block.queries[i] * strides[2];
    for (int j = 0; j < key_count; ++j) to[(key0 + j) * strides[3]] += ds.row(j)[i];
  }
}

template <class T>
void Backward<T>::store_dq(const Work& work, const Tile& tile) const {
  const auto& shape = problem.shape;
  C ones[lanes];
  std::fill_n(ones, lanes, C(1));
  for (int b = 0; b < tile.blocks; ++b) {
    const auto& block = tile.block[b];
    const Rows<const C> acc{work.dq_acc + b * lanes * shape.qk_dim, lanes};
    if (work.part == 0) {
      T* rows[lanes];
      for (int i = 0; i < block.count; ++i) rows[i] = out.dq.row(block.batch, block.heads[i], block.queries[i]);
      unpack_panel<C>(acc, ones, block.count, shape.qk_dim, rows);
    } else {
      C* rows[lanes];
      for (int i = 0; i < block.count; ++i) {
        const std::int64_t row = flat(block.batch, block.heads[i], block.queries[i]);
        rows[i] = partial_dq + (row + (work.part - 1) * flat(shape.batch, 0, 0)) * shape.qk_dim;
      }
      unpack_panel<C>(acc, ones, block.count, shape.qk_dim, rows);
    }
  }
}

// dq of one query: the chunks' parts added in their order.
template <class T>
void Backward<T>::add_partial_dq(std::int64_t row) const {
  const auto& shape = problem.shape;
  const std::int64_t head = row / shape.q_len, copy = flat(shape.batch, 0, 0) * shape.qk_dim;
  T* to = out.dq.row(head / shape.q_heads, head % shape.q_heads, row % shape.q_len);
  for (std::int64_t c = 0; c < shape.qk_dim; ++c) {
    C sum = static_cast<C>(to[c]);
    for (std::int64_t part = 1; part < chunks; ++part) sum += partial_dq[(part - 1) * copy + row * shape.qk_dim + c];
    to[c] = static_cast<T>(sum);
  }
}

}  // namespace
}  // namespace attention

template <class T>
void attention_backward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                        AttentionView<const T> v, const AttentionMask<T>& mask, double scale, double softcap,
                        AttentionView<const T> y, const Compute<T>* lse, AttentionView<const T> dy,
                        const AttentionGradients<T>& gradients, const Compute<T>* dlse) {
  using C = Compute<T>;
  // Tasks that would add to the same element of dbias run in different rounds, in a fixed order.
  const bool bias_sums = gradients.dbias != nullptr;
  const std::int64_t batches = bias_sums && mask.bias_strides[0] == 0 ? 1 : shape.batch;
  const std::int64_t heads = bias_sums && mask.bias_strides[1] == 0 ? 1 : shape.kv_heads;
  attention::Backward<T> task{attention::Problem<T>(shape, q, k, v, mask, scale, softcap),
                              y,
                              dy,
                              gradients,
                              lse,
                              dlse,
                              static_cast<C>(scale),
                              0,
                              1};
  const std::int64_t wanted = batches * heads > 0 ? (attention::kEnoughTasks - 1) / (batches * heads) + 1 : 1;
  task.chunks = std::max<std::int64_t>(1, std::min(wanted, shape.kv_len / attention::kLeastChunk));
  if (bias_sums && mask.bias_strides[3] == 0) task.chunks = 1;
  task.chunk = (shape.kv_len + task.chunks - 1) / task.chunks;
  task.chunk =
      std::max<std::int64_t>(1, (task.chunk + attention::kTileKeys - 1) / attention::kTileKeys) * attention::kTileKeys;
  const std::int64_t chunks = task.chunks = std::max<std::int64_t>(1, (shape.kv_len + task.chunk - 1) / task.chunk);
  const std::int64_t rows = shape.batch * shape.q_heads * shape.q_len;
  const Scratch<C> partial((chunks - 1) * rows * shape.qk_dim);
  task.partial_dq = partial.data();

  for (std::int64_t batch = 0; batch < shape.batch; batch += batches) {
    for (std::int64_t head = 0; head < shape.kv_heads; head += heads) {
      run_parallel(batches * heads * chunks, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          task.run(batch + i / chunks / heads, head + i / chunks % heads, i % chunks);
        }
      });
    }
  }
  if (chunks == 1) return;
  run_parallel(rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) task.add_partial_dq(row);
  });
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
