#pragma once
// The running softmax of one block of queries over tiles of keys that come in any number and order: dense attention
// hands it all tiles, a block-sparse one a list. After tiles 1..n, with m the greatest score so far,
//   weight[i] = sum_j 2^(s_ij - m_i),   acc[c][i] = sum_j 2^(s_ij - m_i) v_jc      (Milakov & Gimelshein 2018).
#include <cmath>

#include "ops/attention/query_block.h"

namespace tessera::attention {

template <class C>
struct OnlineSoftmax {
  static constexpr int lanes = kBlockLanes<C>;
  C* acc;  // [v_dim][lanes]
  C top[lanes], weight[lanes], alpha[lanes];
  int vectors;

  void begin(C* buffer, std::int64_t v_dim, int block_vectors) {
    acc = buffer;
    vectors = block_vectors;
    std::fill_n(acc, v_dim * lanes, C(0));
    std::fill_n(top, lanes, -std::numeric_limits<C>::infinity());
    std::fill_n(weight, lanes, C(0));
  }

  // Takes in a tile: s [key_count][lanes] scores, turned into probabilities in place; v the rows of its keys, or packs
  // of their columns, `ahead` as in tile_kernels.h.
  template <class Values>
  void add(C* s, int key_count, C unit, Values v, std::int64_t v_dim, std::ptrdiff_t ahead = 0) {
    add_weights(s, key_count, unit);
    tile_accumulate<C>(v, key_count, v_dim, {s, lanes}, vectors, alpha, {acc, lanes}, ahead);
  }

  // The same without v: the caller multiplies acc by alpha and adds what the probabilities ask for.
  void add_weights(C* s, int key_count, C unit) {
    for (int i = 0; i < vectors; ++i) exponentiate(s + i * simd::kLanes<C>, key_count, unit, i * simd::kLanes<C>);
  }

  // After the last tile, for the first `count` queries: what acc is to be multiplied by, and lse; `natural` logarithms
  // per score unit. A query that has seen no key gets 0 and -inf.
  void finish(C natural, std::int64_t v_dim, int count, C* factor, C* lse) {
    for (int i = 0; i < count; ++i) {
      lse[i] = top[i] * natural + std::log(weight[i]);
      factor[i] = C(1) / weight[i];
      if (weight[i] != C(0)) continue;
      factor[i] = C(0);
      for (std::int64_t c = 0; c < v_dim; ++c) acc[c * lanes + i] = C(0);  // it may hold 0 * NaN
    }
  }

 private:
  void exponentiate(C* s, int key_count, C unit, int lane) {
    using V = simd::Vec<C>;
    const V before = simd::load(top + lane);
    V best[4] = {before, before, before, before};
    int j = 0;
    for (; j + 4 <= key_count; j += 4) {
      for (int u = 0; u < 4; ++u) best[u] = simd::maximum<C>(simd::load(s + (j + u) * lanes), best[u]);
    }
    for (; j < key_count; ++j) best[0] = simd::maximum<C>(simd::load(s + j * lanes), best[0]);
    const V now = simd::maximum<C>(simd::maximum<C>(best[0], best[1]), simd::maximum<C>(best[2], best[3]));
    // While a query has seen no key, its maximum is -inf; subtracting 0 instead keeps 2^(-inf - m) = 0.
    const V shift = now == -std::numeric_limits<C>::infinity() ? V{} : now;
    V sum{};
    for (j = 0; j < key_count; ++j) {
      const V p = simd::exp2<C>((simd::load(s + j * lanes) - shift) * unit);
      simd::store<C>(s + j * lanes, p);
      sum += p;
    }
    const V decay = simd::exp2<C>((before - shift) * unit);
    simd::store<C>(top + lane, now);
    simd::store<C>(alpha + lane, decay);
    simd::store<C>(weight + lane, simd::multiply_add<C>(simd::load(weight + lane), decay, sum));
  }
};

}  // namespace tessera::attention
