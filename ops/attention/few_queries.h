#pragma once
// Attention of a handful of queries to many keys (decoding with a cache). In lanes of queries most lanes would stand
// empty, so here the lanes are coordinates: every row of K and V is read once, from where it lies, in its own type, and
// memory sets the pace. The running softmax is that of online_softmax.h, one query at a time.
#include <cmath>

#include "ops/attention/query_block.h"

namespace tessera::attention {

// Fewer rows than this in a row set come here; they must fit a block.
template <class C>
inline constexpr int kFewQueries = std::min(16, kBlockLanes<C> + 1);
inline constexpr int kGroupKeys = 64;  // K and V of a group stay in L1 for all queries

template <class T>
struct FewQueries {
  using C = Compute<T>;
  using V = simd::Vec<C>;
  static constexpr int lanes = simd::kLanes<C>;

  const Problem<T>& problem;
  const QueryBlock<T>& block;
  C *q, *acc;  // [count][qk_dim], [count][v_dim], the caller's
  C top[kFewQueries<C>], weight[kFewQueries<C>];

  FewQueries(const Problem<T>& problem, const QueryBlock<T>& block, C* memory)
      : problem(problem), block(block), q(memory), acc(memory + block.count * problem.shape.qk_dim) {
    const std::int64_t dim = problem.shape.qk_dim;
    for (int i = 0; i < block.count; ++i) {
      const T* from = problem.q.row(block.batch, block.heads[i], block.queries[i]);
      for (std::int64_t c = 0; c < dim; ++c) q[i * dim + c] = static_cast<C>(from[c]);
    }
    std::fill_n(acc, block.count * problem.shape.v_dim, C(0));
    std::fill_n(top, kFewQueries<C>, hidden);
    std::fill_n(weight, kFewQueries<C>, C(0));
  }

  // Takes in keys [key0, key0 + count), count <= kGroupKeys, of the block's kv head.
  void add(std::int64_t head, std::int64_t key0, int count) {
    const T *k = problem.k.row(block.batch, head, key0), *v = problem.v.row(block.batch, head, key0);
    for (int i = 0; i < block.count; ++i) {
      C s[kGroupKeys];
      for (int j = 0; j < count; j += lanes) {
        for (int u = j; u < j + lanes; ++u)  // memory is never to wait for the softmax
          prefetch_row(v + u * problem.v.row_stride, problem.shape.v_dim);
        const V x = dots(q + i * problem.shape.qk_dim, k + j * problem.k.row_stride, std::min(lanes, count - j));
        simd::store<C>(s + j,
                       problem.cap != C(0) ? simd::tanh<C>(x * problem.factor) * problem.cap : x * problem.factor);
      }
      std::fill(s + count, s + kGroupKeys, hidden);
      mask(s, i, key0, count);
      if (std::all_of(s, s + count, [](C x) { return x == hidden; })) continue;
      const C alpha = exponentiate(s, i);
      add_values(s, count, v, alpha, acc + i * problem.shape.v_dim, k + kGroupKeys * problem.k.row_stride);
    }
  }

 private:
  static constexpr C hidden = -std::numeric_limits<C>::infinity();

  // The products of one query with `lanes` keys; those from n on are the last one again.
  V dots(const C* query, const T* k, int n) const {
    const std::int64_t dim = problem.shape.qk_dim;
    const T* row[lanes];
    for (int j = 0; j < lanes; ++j) row[j] = k + std::min(j, n - 1) * problem.k.row_stride;
    V sum[lanes]{};
    std::int64_t c = 0;
    for (; c + lanes <= dim; c += lanes) {
      const V x = simd::load(query + c);
#pragma GCC unroll 16
      for (int j = 0; j < lanes; ++j) sum[j] = simd::multiply_add<C>(x, simd::load_as<C>(row[j] + c), sum[j]);
    }
    simd::transpose<C>(sum);
    V total[4]{};
#pragma GCC unroll 16
    for (int j = 0; j < lanes; ++j) total[j % 4] += sum[j];
    V result = (total[0] + total[1]) + (total[2] + total[3]);
    for (; c < dim; ++c)
      for (int j = 0; j < lanes; ++j) result[j] += query[c] * static_cast<C>(row[j][c]);
    return result;
  }

  // Bias added, and -inf where query i does not see the key.
  void mask(C* s, int i, std::int64_t key0, int count) const {
    const auto& m = problem.mask;
    for (int j = 0; m.bias != nullptr && j < count; ++j)
      s[j] += static_cast<C>(block.bias_rows[i][(key0 + j) * m.bias_strides[3]]);
    for (int j = 0; m.keep != nullptr && j < count; ++j)
      if (block.keep_rows[i][(key0 + j) * m.keep_strides[3]] == 0) s[j] = hidden;
    for (int j = 0; j < count; ++j)
      if (key0 + j >= block.limits[i]) s[j] = hidden;
  }

  // s becomes 2^(s - top); returns what acc is to be multiplied by.
  C exponentiate(C* s, int i) {
    V best = simd::broadcast(top[i]);
    for (int j = 0; j < kGroupKeys; j += lanes) best = simd::maximum<C>(simd::load(s + j), best);
    C now = top[i];
    for (int l = 0; l < lanes; ++l) now = std::max(now, best[l]);
    const C shift = now == hidden ? C(0) : now;
    V sum{};
    for (int j = 0; j < kGroupKeys; j += lanes) {
      const V p = simd::exp2<C>((simd::load(s + j) - shift) * problem.unit);
      simd::store<C>(s + j, p);
      sum += p;
    }
    const C alpha = simd::exp2<C>(simd::broadcast((top[i] - shift) * problem.unit))[0];
    weight[i] = weight[i] * alpha + simd::reduce_add<C>(sum);
    top[i] = now;
    return alpha;
  }

  // to = to alpha + sum_j p_j v_j; `next`: the keys that follow, asked for meanwhile.
  void add_values(const C* p, int count, const T* v, C alpha, C* to, const T* next) const {
    const std::int64_t dim = problem.shape.v_dim;
    std::int64_t c = 0;
    for (; c + 8 * lanes <= dim; c += 8 * lanes) add_columns<8>(p, count, v + c, alpha, to + c, next + c);
    for (; c + 4 * lanes <= dim; c += 4 * lanes) add_columns<4>(p, count, v + c, alpha, to + c, next + c);
    for (; c + lanes <= dim; c += lanes) add_columns<1>(p, count, v + c, alpha, to + c, next + c);
    for (; c < dim; ++c) {
      C sum = to[c] * alpha;
      for (int j = 0; j < count; ++j) sum += p[j] * static_cast<C>(v[j * problem.v.row_stride + c]);
      to[c] = sum;
    }
  }
  template <int vectors>
  void add_columns(const C* p, int count, const T* v, C alpha, C* to, const T* next) const {
    V sum[vectors];
#pragma GCC unroll 8
    for (int u = 0; u < vectors; ++u) sum[u] = simd::load(to + u * lanes) * alpha;
    for (int j = 0; j < count; ++j, v += problem.v.row_stride) {
      prefetch_row(next + j * problem.k.row_stride, vectors * lanes);
      const V x = simd::broadcast(p[j]);
#pragma GCC unroll 8
      for (int u = 0; u < vectors; ++u) sum[u] = simd::multiply_add<C>(x, simd::load_as<C>(v + u * lanes), sum[u]);
    }
#pragma GCC unroll 8
    for (int u = 0; u < vectors; ++u) simd::store<C>(to + u * lanes, sum[u]);
  }
};

}  // namespace tessera::attention
