#pragma once
// Attention of a handful of queries to many keys (decoding with a cache, lists of single keys). In lanes of queries
// most lanes would stand empty, so here the lanes are coordinates: every row of K and V is read once, from where it
// lies, in its own type and one after another (four at a time took a third longer, as the processor then did not see
// the order of addresses), and memory sets the pace. The running softmax is that of online_softmax.h, one query at a
// time.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/attention/key_rows.h"
#include "ops/attention/query_block.h"

namespace tessera::attention {

inline constexpr int kGroupKeys = 16;

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
    return queries * (shape.qk_dim + shape.v_dim + kGroupKeys * (lanes + 1) + lanes + 2);
  }
  // `query(i)` is where query i lies; `memory`, of size(), is the caller's.
  template <class Query>
  FewQueries(const KeyRows<T>& keys, std::int64_t rows, C* memory, Query&& query)
      : keys_(keys), qk_dim_(keys.qk_dim), v_dim_(keys.v_dim), rows_(rows) {
    const std::int64_t queries = keys.heads * rows;
    products_ = memory;
    p_ = products_ + queries * kGroupKeys * lanes;
    weight_ = p_ + queries * kGroupKeys;
    q_ = weight_ + queries * lanes;
    acc_ = q_ + queries * qk_dim_;
    top_ = acc_ + queries * v_dim_;
    seen_ = top_ + queries;
    for (std::int64_t i = 0; i < queries; ++i) copy_row<C>(query(i), qk_dim_, q_ + i * qk_dim_);
    std::fill_n(products_, queries * kGroupKeys * lanes, C(0));
    std::fill_n(weight_, queries * lanes, C(0));
    std::fill_n(acc_, queries * v_dim_, C(0));
    std::fill_n(top_, queries, hidden);
  }

  // Takes in keys [begin, end). `unit`: base-2 logarithms per score unit; score(i, first, n, s) turns the products of
  // query i with keys [first, first + n), n <= kGroupKeys, into scores. The values of a group are read beside the keys
  // of the next one: the processor itself reads ahead of two streams that do not break off. Where rows lie apart it
  // does not; there each row's loop asks for the lines of one that comes later.
  template <class Score>
  void add(std::int64_t begin, std::int64_t end, C unit, Score&& score) {
    const int ahead = keys_.apart() ? kRowsAhead : 0;
    int before = 0;  // keys of the group before, whose values are due
    for (std::int64_t first = begin; first < end || before > 0; first += kGroupKeys) {
      const int n = static_cast<int>(std::clamp<std::int64_t>(end - first, 0, kGroupKeys));
      for (int j = 0; j < std::max(n, before); ++j) {
        const std::int64_t key = first + j, value = key - kGroupKeys;
        for (std::int64_t head = 0; head < keys_.heads; ++head) {
          if (j < n) multiply(head, key, j, std::min(key + ahead, end - 1));
          if (j < before) add_values(head, value, j, std::min(value + ahead, end - 1));
        }
      }
      for (std::int64_t i = 0; n > 0 && i < keys_.heads * rows_; ++i)
        exponentiate(i, n, unit, [&](C* s) { score(i, first, n, s); });
      before = n;
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
  // Products of the head's queries with a key, number j of its group; asks for the row of key `next` on the way.
  void multiply(std::int64_t head, std::int64_t key, int j, std::int64_t next) {
    const T* const k = keys_.k_row(head, key);
    const std::ptrdiff_t ahead = keys_.k_row(head, next) - k;
    const C* q = q_ + head * rows_ * qk_dim_;
    C* to = products_ + (head * rows_ * kGroupKeys + j) * lanes;
    std::int64_t rows = rows_;
    for (; rows >= 4; rows -= 4, q += 4 * qk_dim_, to += 4 * kGroupKeys * lanes)
      multiply_rows<4>(q, k, ahead, qk_dim_, to);
    for (; rows > 0; --rows, q += qk_dim_, to += kGroupKeys * lanes) multiply_rows<1>(q, k, ahead, qk_dim_, to);
  }
  // R rows of q with k, each a vector of partial sums. Four sums are at work: along the row where R is 1. These loops
  // are functions of their own for the sake of their registers.
  template <int R>
  [[gnu::noinline]] static void multiply_rows(const C* q, const T* k, std::ptrdiff_t ahead, std::int64_t dim, C* to) {
    constexpr int parts = 4 / R;
    V sum[R][parts]{};
    std::int64_t c = 0;
    for (; c + parts * lanes <= dim; c += parts * lanes)
#pragma GCC unroll 4
      for (int u = 0; u < parts; ++u) {
        const V x = simd::load_as<C>(k + c + u * lanes);
        __builtin_prefetch(k + ahead + c + u * lanes);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
          sum[r][u] = simd::multiply_add<C>(simd::load(q + r * dim + c + u * lanes), x, sum[r][u]);
      }
    for (; c + lanes <= dim; c += lanes) {
      const V x = simd::load_as<C>(k + c);
      __builtin_prefetch(k + ahead + c);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[r][0] = simd::multiply_add<C>(simd::load(q + r * dim + c), x, sum[r][0]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      V all = sum[r][0];
#pragma GCC unroll 4
      for (int u = 1; u < parts; ++u) all += sum[r][u];
      simd::store<C>(to + r * kGroupKeys * lanes, all);
    }
    for (; c < dim; ++c)
      for (int r = 0; r < R; ++r) to[r * kGroupKeys * lanes] += q[r * dim + c] * static_cast<C>(k[c]);
  }

  // The products of query i become 2^(s - top), and what is there so far is scaled to the new top.
  template <class Score>
  void exponentiate(std::int64_t i, int n, C unit, Score&& score) {
    const C* const products = products_ + i * kGroupKeys * lanes;
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
      simd::store<C>(p_ + i * kGroupKeys + j, p);
      sum += p;
    }
    simd::store<C>(weight_ + i * lanes, sum);
    if (now != top_[i])
      for (std::int64_t c = 0; c < v_dim_; ++c) acc_[i * v_dim_ + c] *= alpha[0];
    top_[i] = now;
  }

  // acc += p v for a key, number j of its group; asks for the row of key `next` on the way.
  void add_values(std::int64_t head, std::int64_t key, int j, std::int64_t next) {
    const T* const v = keys_.v_row(head, key);
    const std::ptrdiff_t ahead = keys_.v_row(head, next) - v;
    std::int64_t i = head * rows_;
    const std::int64_t end = i + rows_;
    const auto seen = [&](int r) { return i + r < end && seen_[i + r] != C(0); };
    while (i < end) {
      const int rows = seen(0) && seen(1) && seen(2) && seen(3) ? 4 : 1;
      if (rows == 4)
        add_rows<4>(p_ + i * kGroupKeys + j, v, ahead, v_dim_, acc_ + i * v_dim_);
      else if (seen(0))
        add_rows<1>(p_ + i * kGroupKeys + j, v, ahead, v_dim_, acc_ + i * v_dim_);
      i += rows;
    }
  }
  template <int R>
  [[gnu::noinline]] static void add_rows(const C* p, const T* v, std::ptrdiff_t ahead, std::int64_t dim, C* to) {
    V weight[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) weight[r] = simd::broadcast(p[r * kGroupKeys]);
    std::int64_t c = 0;
    for (; c + lanes <= dim; c += lanes) {
      const V x = simd::load_as<C>(v + c);
      __builtin_prefetch(v + ahead + c);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r)
        simd::store<C>(to + r * dim + c, simd::multiply_add<C>(weight[r], x, simd::load(to + r * dim + c)));
    }
    for (; c < dim; ++c)
      for (int r = 0; r < R; ++r) to[r * dim + c] += p[r * kGroupKeys] * static_cast<C>(v[c]);
  }

  KeyRows<T> keys_;
  std::int64_t qk_dim_, v_dim_, rows_;
  C *products_, *p_;  // of a group: [queries][kGroupKeys][lanes], [queries][kGroupKeys]
  C* weight_;         // [queries][lanes]
  C *q_, *acc_;       // [queries][qk_dim], [queries][v_dim]
  C *top_, *seen_;    // [queries]; seen: 0 where all keys of a group are hidden
};

}  // namespace tessera::attention
