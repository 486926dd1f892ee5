#pragma once
// Attention of a handful of queries to many keys (decoding with a cache, lists of single keys). In lanes of queries
// most lanes would stand empty, so here the lanes are coordinates: every row of K and V is read once, from where it
// lies, in its own type and in the order of addresses, and memory sets the pace. The running softmax is that of
// online_softmax.h, one query at a time.
#include <cmath>

#include "ops/attention/key_rows.h"
#include "ops/attention/query_block.h"

namespace tessera::attention {

// Fewer rows than this in a row set come here; they must fit a block.
template <class C>
inline constexpr int kFewQueries = std::min(16, kBlockLanes<C> + 1);

// So many rows of queries for each head of the keys, head by head.
template <class T>
class FewQueries {
 public:
  using C = Compute<T>;
  using V = simd::Vec<C>;
  static constexpr int lanes = simd::kLanes<C>;
  static constexpr C hidden = -std::numeric_limits<C>::infinity();

  // Elements of working memory.
  static std::int64_t size(const AttentionShape& shape, std::int64_t queries) {
    return queries * (shape.qk_dim + shape.v_dim + kGroupKeys * lanes + lanes + 2);
  }
  // `query(i)` is where query i lies; `memory`, of size(), is the caller's.
  template <class Query>
  FewQueries(const KeyRows<T>& keys, std::int64_t rows, C* memory, Query&& query)
      : keys_(keys), qk_dim_(keys.qk_dim), v_dim_(keys.v_dim), rows_(rows) {
    const std::int64_t queries = keys.heads * rows;
    products_ = memory;
    weight_ = products_ + queries * kGroupKeys * lanes;
    q_ = weight_ + queries * lanes;
    acc_ = q_ + queries * qk_dim_;
    top_ = acc_ + queries * v_dim_;
    seen_ = top_ + queries;
    for (std::int64_t i = 0; i < queries; ++i) copy_row<C>(query(i), qk_dim_, q_ + i * qk_dim_);
    std::fill_n(weight_, queries * lanes, C(0));
    std::fill_n(acc_, queries * v_dim_, C(0));
    std::fill_n(top_, queries, hidden);
  }

  // Takes in keys [begin, end). `unit`: base-2 logarithms per score unit; score(i, first, n, s) turns the products of
  // query i with keys [first, first + n), n <= kGroupKeys, into scores.
  template <class Score>
  void add(std::int64_t begin, std::int64_t end, C unit, Score&& score) {
    ahead_.begin(keys_, begin, end);
    for (std::int64_t first = begin; first < end; first += kGroupKeys) {
      const int n = static_cast<int>(std::min<std::int64_t>(kGroupKeys, end - first));
      for (int j = 0; j < n; j += kStep)
        for (std::int64_t head = 0; head < keys_.heads; ++head) multiply(head, first, j, n);
      for (std::int64_t i = 0; i < keys_.heads * rows_; ++i)
        exponentiate(i, n, unit, [&](C* s) { score(i, first, n, s); });
      for (int j = 0; j < n; j += kStep)
        for (std::int64_t head = 0; head < keys_.heads; ++head) add_values(head, first, j, n);
    }
  }

  // After the last keys: to[c] = y[c] of query i; returns its lse.
  template <class S>
  C finish(std::int64_t i, C natural, S* to) const {
    const C weight = simd::reduce_add<C>(simd::load(weight_ + i * lanes));
    const C inverse = weight == C(0) ? C(0) : C(1) / weight;
    std::transform(acc_ + i * v_dim_, acc_ + (i + 1) * v_dim_, to, [&](C x) { return static_cast<S>(x * inverse); });
    return top_[i] * natural + std::log(weight);
  }

 private:
  static constexpr int kStep = 4;  // keys at work at once

  // Products of the head's queries with kStep keys from first + j on; those from n on are the last one again.
  void multiply(std::int64_t head, std::int64_t first, int j, int n) {
    const T* k[kStep];
    ahead_.use(kStep, qk_dim_);
    for (int u = 0; u < kStep; ++u) k[u] = keys_.k_row(head, first + std::min(j + u, n - 1));
    for (std::int64_t i = head * rows_; i < (head + 1) * rows_; ++i) {
      const C* const q = q_ + i * qk_dim_;
      V sum[kStep]{};
      std::int64_t c = 0;
      for (; c + lanes <= qk_dim_; c += lanes) {
        const V x = simd::load(q + c);
        ahead_.step();
#pragma GCC unroll 4
        for (int u = 0; u < kStep; ++u) sum[u] = simd::multiply_add<C>(x, simd::load_as<C>(k[u] + c), sum[u]);
      }
      for (; c < qk_dim_; ++c)
        for (int u = 0; u < kStep; ++u) sum[u][0] += q[c] * static_cast<C>(k[u][c]);
#pragma GCC unroll 4
      for (int u = 0; u < kStep; ++u) simd::store<C>(products_ + (i * kGroupKeys + j + u) * lanes, sum[u]);
    }
  }

  // The products of query i become 2^(s - top), and what is there so far is scaled to the new top.
  template <class Score>
  void exponentiate(std::int64_t i, int n, C unit, Score&& score) {
    C* const products = products_ + i * kGroupKeys * lanes;
    C s[kGroupKeys];
    for (int j = 0; j < kGroupKeys; j += lanes) {
      V square[lanes];
#pragma GCC unroll 16
      for (int u = 0; u < lanes; ++u) square[u] = simd::load(products + (j + u) * lanes);
      simd::transpose<C>(square);
      V total[4]{};
#pragma GCC unroll 16
      for (int u = 0; u < lanes; ++u) total[u % 4] += square[u];
      simd::store<C>(s + j, (total[0] + total[1]) + (total[2] + total[3]));
    }
    score(s);
    std::fill(s + n, s + kGroupKeys, hidden);
    V best = simd::broadcast(top_[i]);
    for (int j = 0; j < kGroupKeys; j += lanes) best = simd::maximum<C>(simd::load(s + j), best);
    seen_[i] = std::any_of(s, s + n, [](C x) { return x != hidden; }) ? C(1) : C(0);
    const C now = simd::reduce_maximum<C>(best), shift = now == hidden ? C(0) : now;
    const V alpha = simd::exp2<C>(simd::broadcast((top_[i] - shift) * unit));
    V sum = simd::load(weight_ + i * lanes) * alpha;
    for (int j = 0; j < kGroupKeys; j += lanes) {
      const V p = simd::exp2<C>((simd::load(s + j) - shift) * unit);
      simd::store<C>(products + j, p);
      sum += p;
    }
    simd::store<C>(weight_ + i * lanes, sum);
    if (now != top_[i])
      for (std::int64_t c = 0; c < v_dim_; ++c) acc_[i * v_dim_ + c] *= alpha[0];
    top_[i] = now;
  }

  // acc += sum_j p_j v_j over up to kStep keys.
  void add_values(std::int64_t head, std::int64_t first, int j, int n) {
    const int count = std::min(kStep, n - j);
    const T* v[kStep];
    ahead_.use(kStep, v_dim_);
    for (int u = 0; u < count; ++u) v[u] = keys_.v_row(head, first + j + u);
    for (std::int64_t i = head * rows_; i < (head + 1) * rows_; ++i) {
      if (seen_[i] == C(0)) continue;
      const C* const p = products_ + i * kGroupKeys * lanes + j;
      C* const to = acc_ + i * v_dim_;
      std::int64_t c = 0;
      for (; c + lanes <= v_dim_; c += lanes) {
        V sum = simd::load(to + c);
        ahead_.step();
        for (int u = 0; u < count; ++u)
          sum = simd::multiply_add<C>(simd::broadcast(p[u]), simd::load_as<C>(v[u] + c), sum);
        simd::store<C>(to + c, sum);
      }
      for (; c < v_dim_; ++c)
        for (int u = 0; u < count; ++u) to[c] += p[u] * static_cast<C>(v[u][c]);
    }
  }

  KeyRows<T> keys_;
  LinesAhead<T> ahead_;
  std::int64_t qk_dim_, v_dim_, rows_;
  C *products_, *weight_;  // [queries][kGroupKeys][lanes], later the probabilities of a group; [queries][lanes]
  C *q_, *acc_;            // [queries][qk_dim], [queries][v_dim]
  C *top_, *seen_;         // [queries]; seen: 0 where all keys of a group are hidden
};

}  // namespace tessera::attention
