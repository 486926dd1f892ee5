#pragma once
// Copies of K and V as packs (tile_kernels.h): a block of kBlockRows keys, or of as many coordinates of V, is read from
// its first element to its last, which the hardware runs ahead of.
#include "ops/attention/query_block.h"

namespace tessera::attention {

// Elements that a column of dim elements takes in packs.
constexpr std::int64_t packed(std::int64_t dim) { return divide_up(dim, kBlockRows) * kBlockRows; }

// Pieces of `size` elements of kBlockRows vectors: the first of each, then the second of each, and so on.
template <int size, class C>
[[gnu::always_inline]] inline void interleave(simd::Vec<C> (&rows)[kBlockRows]) {
#pragma GCC unroll 8
  for (int stage = 1; stage < kBlockRows; stage *= 2) {
    simd::Vec<C> zipped[kBlockRows];
#pragma GCC unroll 8
    for (int i = 0; i < kBlockRows; ++i) {
      const simd::Vec<C>&a = rows[i / 2], &b = rows[i / 2 + kBlockRows / 2];
      zipped[i] = i % 2 == 0 ? simd::zip<C, size, 0>(a, b) : simd::zip<C, size, 1>(a, b);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kBlockRows; ++i) rows[i] = zipped[i];
  }
}

// Rows j .. j + kBlockRows - 1 of `count`, and those whose turn comes `ahead` rows later. They may lie a page apart, as
// in [B,L,H,D] layouts, where the hardware does not run ahead.
template <class C, class S>
struct RowsToPack {
  static constexpr int ahead = 8;
  const S *row[kBlockRows], *soon[kBlockRows];

  template <class F>
  RowsToPack(F&& at, int j, int count) {
    for (int r = 0; r < kBlockRows; ++r) {
      row[r] = at(std::min(j + r, count - 1));
      soon[r] = at(std::min(j + r + ahead, count - 1));
    }
  }
  // Elements from c on.
  [[gnu::always_inline]] void load(std::int64_t c, simd::Vec<C> (&x)[kBlockRows]) const {
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) x[r] = simd::load_as<C>(row[r] + c);
    ask(c);
  }
  // For the cache lines of later rows that begin at element c.
  [[gnu::always_inline]] void ask(std::int64_t c) const {
    if (c % kLine<S> != 0) return;
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) __builtin_prefetch(soon[r] + c);
  }
};

// Packs `count` rows of S: the rows of a matrix of `dim` columns; the last one again up to the end of its pack.
template <class C, class F>
void pack_rows(F&& row, int count, std::int64_t dim, Packs<C> to) {
  using S = std::remove_cvref_t<decltype(*row(0))>;
  constexpr int lanes = simd::kLanes<C>;
  for (int j = 0; j < count; j += kBlockRows) {
    const RowsToPack<C, S> from(row, j, count);
    C* const pack = to.row(j);
    std::int64_t c = 0;
    for (; c + lanes <= dim; c += lanes) {
      simd::Vec<C> x[kBlockRows];
      from.load(c, x);
      interleave<1, C>(x);
#pragma GCC unroll 8
      for (int i = 0; i < kBlockRows; ++i) simd::store<C>(pack + c * kBlockRows + i * lanes, x[i]);
    }
    for (; c < dim; ++c) {
      from.ask(c);
      for (int r = 0; r < kBlockRows; ++r) pack[c * kBlockRows + r] = static_cast<C>(from.row[r][c]);
    }
  }
}

// The same as columns of a matrix of `dim` rows; what follows these in their pack is not written.
template <class C, class F>
void pack_columns(F&& row, int count, std::int64_t dim, Packs<C> to) {
  using S = std::remove_cvref_t<decltype(*row(0))>;
  constexpr int lanes = simd::kLanes<C>, square = kBlockRows * kBlockRows;  // elements of as many keys and coordinates
  for (int j = 0; j < count; j += kBlockRows) {
    const RowsToPack<C, S> from(row, j, count);
    const Packs<C> pack = to.from_column(j);
    const int n = std::min(kBlockRows, count - j);
    std::int64_t c = 0;
    if constexpr (lanes >= kBlockRows) {
      for (; n == kBlockRows && c + lanes <= dim; c += lanes) {
        simd::Vec<C> x[kBlockRows];
        from.load(c, x);
        interleave<kBlockRows, C>(x);
#pragma GCC unroll 8
        for (int i = 0; i < kBlockRows; ++i)
          simd::store<C>(pack.row(c + i * lanes / square * kBlockRows) + i * lanes % square, x[i]);
      }
    }
    for (; c < dim; ++c) {
      from.ask(c);
      for (int i = 0; i < n; ++i) *pack.from_column(i).row(c) = static_cast<C>(from.row[i][c]);
    }
  }
}

// K and V of whole kv heads: K in packs of keys, V in packs of coordinates, tile by tile of kTileKeys keys.
template <class C>
class PackedHeads {
 public:
  // Elements of one head.
  static std::int64_t size(const AttentionShape& shape) {
    return packed(shape.kv_len) * shape.qk_dim + shape.kv_len * packed(shape.v_dim);
  }
  // In memory of `heads` times that.
  PackedHeads(const AttentionShape& shape, std::int64_t heads, C* memory)
      : keys_(shape.kv_len),
        k_dim_(shape.qk_dim),
        v_dim_(packed(shape.v_dim)),
        k_(memory),
        v_(memory + heads * packed(keys_) * k_dim_) {}

  // K of a head from `key` on, which begins a pack.
  Packs<C> k(std::int64_t head, std::int64_t key) const {
    return {k_ + (head * packed(keys_) + key) * k_dim_, kBlockRows * k_dim_};
  }
  // V of a head from `key` on to the end of its tile.
  Packs<C> v(std::int64_t head, std::int64_t key) const {
    const std::int64_t tile = key / kTileKeys * kTileKeys, count = std::min<std::int64_t>(kTileKeys, keys_ - tile);
    const Packs<C> all{v_ + (head * keys_ + tile) * v_dim_, kBlockRows * count};
    return all.from_column(key - tile);
  }

 private:
  std::int64_t keys_, k_dim_, v_dim_;
  C *k_, *v_;
};

}  // namespace tessera::attention
