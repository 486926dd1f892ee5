#include "ops/attention/query_block.h"

namespace tessera::attention {
namespace {

using simd::kLanes;
using simd::Lane;
using simd::Vec;

template <class C>
constexpr C kHidden = -std::numeric_limits<C>::infinity();

template <class T>
Visible kept(const Problem<T>& problem, const QueryBlock<T>& block, std::int64_t key0, int key_count) {
  const std::int64_t step = problem.mask.keep_strides[3];
  unsigned any = 0, missing = 0;
  for (int i = 0; i < block.count; ++i) {
    if (i > 0 && block.keep_rows[i] == block.keep_rows[i - 1]) continue;
    const std::uint8_t* row = block.keep_rows[i] + key0 * step;
    for (int j = 0; j < key_count; ++j) {
      any |= row[j * step];
      missing |= row[j * step] == 0 ? 1u : 0u;
    }
  }
  return {any != 0, missing != 0};
}

// Packs `source` rows, moved on to key0, as lanes. Queries that share one row (a broadcast) are served by copies.
template <class C, class S>
void pack_tile(const S* const* source, std::int64_t step, std::int64_t key0, int key_count, int vectors, C* out) {
  constexpr int lanes = kBlockLanes<C>;
  const S* rows[lanes];
  bool shared = true;
  for (int i = 0; i < vectors * kLanes<C>; ++i) {
    rows[i] = source[i] + key0 * step;
    shared = shared && rows[i] == rows[0];
  }
  if (!shared) return pack_panel<C>(rows, step, key_count, vectors, Rows<C>{out, lanes});
  for (int j = 0; j < key_count; ++j) {
    const auto x = simd::broadcast<C>(static_cast<C>(static_cast<Compute<S>>(rows[0][j * step])));
    for (int v = 0; v < vectors; ++v) simd::store<C>(out + j * lanes + v * kLanes<C>, x);
  }
}

template <class C>
bool all_hidden(const C* tile, int key_count, int vectors) {
  Vec<C> top = simd::broadcast<C>(kHidden<C>);
  Vec<C> nan{};
  for (int j = 0; j < key_count; ++j) {
    for (int v = 0; v < vectors; ++v) {
      const Vec<C> x = simd::load(tile + j * kBlockLanes<C> + v * kLanes<C>);
      top = simd::maximum<C>(x, top);
      nan = x == x ? nan : x;
    }
  }
  for (int i = 0; i < kLanes<C>; ++i) {
    if (top[i] != kHidden<C> || nan[i] != nan[i]) return false;
  }
  return true;
}

// f(j, v, s) -> s for every vector of the tile.
template <class C, class F>
void for_each_vector(Rows<C> s, int key_count, int vectors, F&& f) {
  for (int j = 0; j < key_count; ++j) {
    for (int v = 0; v < vectors; ++v) {
      C* at = s.row(j) + v * kLanes<C>;
      simd::store<C>(at, f(j, v, simd::load(at)));
    }
  }
}

template <class T>
void hide_future(const QueryBlock<T>& block, std::int64_t key0, int key_count, Rows<Compute<T>> s) {
  using C = Compute<T>;
  Lane<C> visible[kBlockLanes<C>];
  for (int i = 0; i < block.vectors * kLanes<C>; ++i) {
    visible[i] = static_cast<Lane<C>>(std::clamp<std::int64_t>(block.limits[i] - key0, 0, key_count));
  }
  const Vec<C> hidden = simd::broadcast<C>(kHidden<C>);
  for_each_vector<C>(s, key_count, block.vectors, [&](int j, int v, Vec<C> x) {
    return static_cast<Lane<C>>(j) < simd::load(visible + v * kLanes<C>) ? x : hidden;
  });
}

}  // namespace

template <class T>
KeyRange valid_keys(const Problem<T>& problem, std::int64_t batch, std::int64_t set) {
  const auto& mask = problem.mask;
  KeyRange range{0, problem.shape.kv_len};
  if (mask.kv_lengths != nullptr) range.end = std::clamp<std::int64_t>(mask.kv_lengths[batch], 0, range.end);
  // A key padding mask: drop the padding on both sides, so that neither time nor NaN comes from it.
  if (mask.keep != nullptr && mask.keep_strides[2] == 0 && (!problem.folded || mask.keep_strides[1] == 0)) {
    const std::uint8_t* row = mask.keep + batch * mask.keep_strides[0] + set * mask.keep_strides[1];
    const std::int64_t step = mask.keep_strides[3];
    while (range.begin < range.end && row[range.begin * step] == 0) ++range.begin;
    while (range.begin < range.end && row[(range.end - 1) * step] == 0) --range.end;
  }
  return range;
}

template <class T>
QueryBlock<T> query_block(const Problem<T>& problem, std::int64_t batch, std::int64_t set, std::int64_t first_row,
                          int count) {
  constexpr int lanes = kLanes<Compute<T>>;
  const auto& mask = problem.mask;
  QueryBlock<T> block{};
  block.count = count;
  block.vectors = (count + lanes - 1) / lanes;
  block.batch = batch;
  block.all_limit = problem.shape.kv_len;
  for (int i = 0; i < block.vectors * lanes; ++i) {
    const std::int64_t row = first_row + std::min(i, count - 1);
    const std::int64_t head = problem.head(set, row), query = problem.query(row);
    block.heads[i] = head;
    block.queries[i] = query;
    block.limits[i] = mask.causal_limit(batch, query, problem.shape.kv_len);
    block.all_limit = std::min(block.all_limit, block.limits[i]);
    block.any_limit = std::max(block.any_limit, block.limits[i]);
    const auto at = [&](const auto& strides) { return batch * strides[0] + head * strides[1] + query * strides[2]; };
    if (mask.bias != nullptr) block.bias_rows[i] = mask.bias + at(mask.bias_strides);
    if (mask.keep != nullptr) block.keep_rows[i] = mask.keep + at(mask.keep_strides);
  }
  return block;
}

template <class T>
Visible visible(const Problem<T>& problem, const QueryBlock<T>& block, std::int64_t key0, int key_count,
                Compute<T>* extra) {
  using C = Compute<T>;
  const auto& mask = problem.mask;
  if (block.any_limit <= key0) return {false, false};
  const Visible keys = mask.keep != nullptr ? kept(problem, block, key0, key_count) : Visible{true, false};
  if (keys.any && mask.bias != nullptr) {
    pack_tile<C>(block.bias_rows, mask.bias_strides[3], key0, key_count, block.vectors, extra);
    if (all_hidden<C>(extra, key_count, block.vectors)) return {false, false};
  }
  return keys;
}

template <class T>
void mask_tile(const Problem<T>& problem, const QueryBlock<T>& block, std::int64_t key0, int key_count,
               const Visible& visible, Rows<Compute<T>> s, Compute<T>* extra, Compute<T>* tanh) {
  using C = Compute<T>;
  constexpr int lanes = kBlockLanes<C>;
  const auto& mask = problem.mask;
  const int vectors = block.vectors;
  if (problem.cap != C(0)) {
    for_each_vector<C>(s, key_count, vectors, [&](int j, int v, Vec<C> x) {
      const Vec<C> t = simd::tanh<C>(x);
      if (tanh != nullptr) simd::store<C>(tanh + j * s.stride + v * kLanes<C>, t);
      return t * problem.cap;
    });
  }
  if (mask.bias != nullptr) {
    for_each_vector<C>(s, key_count, vectors,
                       [&](int j, int v, Vec<C> x) { return x + simd::load(extra + j * lanes + v * kLanes<C>); });
  }
  if (visible.keep) {
    pack_tile<C>(block.keep_rows, mask.keep_strides[3], key0, key_count, vectors, extra);
    const Vec<C> hidden = simd::broadcast<C>(kHidden<C>);
    for_each_vector<C>(s, key_count, vectors, [&](int j, int v, Vec<C> x) {
      return simd::load(extra + j * lanes + v * kLanes<C>) != C(0) ? x : hidden;
    });
  }
  if (block.all_limit < key0 + key_count) hide_future(block, key0, key_count, s);
}

template <class T>
bool score_tile(const Problem<T>& problem, const QueryBlock<T>& block, std::int64_t key0, int key_count,
                Rows<const Compute<T>> k, Rows<const Compute<T>> queries, Rows<Compute<T>> s, Compute<T>* extra,
                Compute<T>* tanh) {
  const Visible keys = visible(problem, block, key0, key_count, extra);
  if (!keys.any) return false;
  tile_scores<Compute<T>>(k, key_count, queries, block.vectors, problem.shape.qk_dim, problem.factor, s,
                          kScoresAhead * k.stride);
  mask_tile(problem, block, key0, key_count, keys, s, extra, tanh);
  return true;
}

template KeyRange valid_keys(const Problem<float>&, std::int64_t, std::int64_t);
template KeyRange valid_keys(const Problem<double>&, std::int64_t, std::int64_t);
template KeyRange valid_keys(const Problem<f16>&, std::int64_t, std::int64_t);
template KeyRange valid_keys(const Problem<bf16>&, std::int64_t, std::int64_t);
template QueryBlock<float> query_block(const Problem<float>&, std::int64_t, std::int64_t, std::int64_t, int);
template QueryBlock<double> query_block(const Problem<double>&, std::int64_t, std::int64_t, std::int64_t, int);
template QueryBlock<f16> query_block(const Problem<f16>&, std::int64_t, std::int64_t, std::int64_t, int);
template QueryBlock<bf16> query_block(const Problem<bf16>&, std::int64_t, std::int64_t, std::int64_t, int);
template Visible visible(const Problem<float>&, const QueryBlock<float>&, std::int64_t, int, float*);
template Visible visible(const Problem<double>&, const QueryBlock<double>&, std::int64_t, int, double*);
template Visible visible(const Problem<f16>&, const QueryBlock<f16>&, std::int64_t, int, float*);
template Visible visible(const Problem<bf16>&, const QueryBlock<bf16>&, std::int64_t, int, float*);
template void mask_tile(const Problem<float>&, const QueryBlock<float>&, std::int64_t, int, const Visible&, Rows<float>,
                        float*, float*);
template void mask_tile(const Problem<double>&, const QueryBlock<double>&, std::int64_t, int, const Visible&,
                        Rows<double>, double*, double*);
template void mask_tile(const Problem<f16>&, const QueryBlock<f16>&, std::int64_t, int, const Visible&, Rows<float>,
                        float*, float*);
template void mask_tile(const Problem<bf16>&, const QueryBlock<bf16>&, std::int64_t, int, const Visible&, Rows<float>,
                        float*, float*);
template bool score_tile(const Problem<float>&, const QueryBlock<float>&, std::int64_t, int, Rows<const float>,
                         Rows<const float>, Rows<float>, float*, float*);
template bool score_tile(const Problem<double>&, const QueryBlock<double>&, std::int64_t, int, Rows<const double>,
                         Rows<const double>, Rows<double>, double*, double*);
template bool score_tile(const Problem<f16>&, const QueryBlock<f16>&, std::int64_t, int, Rows<const float>,
                         Rows<const float>, Rows<float>, float*, float*);
template bool score_tile(const Problem<bf16>&, const QueryBlock<bf16>&, std::int64_t, int, Rows<const float>,
                         Rows<const float>, Rows<float>, float*, float*);

}  // namespace tessera::attention
