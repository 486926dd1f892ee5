#pragma once
// Copies of K and V as packs (tile_kernels.h): a block of kBlockRows keys, or of as many coordinates of V, is read from
// its first element to its last, which the hardware runs ahead of.
#include "ops/attention/query_block.h"

namespace tessera::attention {

// Elements that a column of dim elements takes in packs.
constexpr std::int64_t packed(std::int64_t dim) { return divide_up(dim, kBlockRows) * kBlockRows; }

// Packs `count` rows of S: the rows of a matrix of `dim` columns; the last one again up to the end of its pack.
template <class C, class F>
void pack_rows(F&& row, int count, std::int64_t dim, Packs<C> to) {
  constexpr int lanes = simd::kLanes<C>;
  for (int j = 0; j < count; j += kBlockRows) {
    decltype(row(0)) from[kBlockRows];
    for (int r = 0; r < kBlockRows; ++r) {
      from[r] = row(std::min(j + r, count - 1));
      prefetch_row(row(std::min(j + r + kBlockRows, count - 1)), dim);
    }
    C* const pack = to.row(j);
    std::int64_t c = 0;
    for (; c + lanes <= dim; c += lanes) {
      C part[kBlockRows][lanes];
      for (int r = 0; r < kBlockRows; ++r) simd::store<C>(part[r], simd::load_as<C>(from[r] + c));
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) {
#pragma GCC unroll 8
        for (int r = 0; r < kBlockRows; ++r) pack[(c + i) * kBlockRows + r] = part[r][i];
      }
    }
    for (; c < dim; ++c) {
      for (int r = 0; r < kBlockRows; ++r) pack[c * kBlockRows + r] = static_cast<C>(from[r][c]);
    }
  }
}

// The same as columns of a matrix of `dim` rows; what follows these in their pack is not written.
template <class C, class F>
void pack_columns(F&& row, int count, std::int64_t dim, Packs<C> to) {
  constexpr int lanes = simd::kLanes<C>, piece = std::min(lanes, kBlockRows);
  for (int j = 0; j < count; j += kBlockRows) {  // together they fill cache lines
    const int end = std::min(j + kBlockRows, count);
    for (int i = j; i < end; ++i) prefetch_row(row(std::min(i + kBlockRows, count - 1)), dim);
    std::int64_t c = 0;
    for (; c + lanes <= dim; c += lanes) {
      for (int i = j; i < end; ++i) {
        C part[lanes];
        simd::store<C>(part, simd::load_as<C>(row(i) + c));
#pragma GCC unroll 8
        for (int p = 0; p < lanes; p += piece) std::copy_n(part + p, piece, to.from_column(i).row(c + p));
      }
    }
    for (; c < dim; ++c) {
      for (int i = j; i < end; ++i) *to.from_column(i).row(c) = static_cast<C>(row(i)[c]);
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
