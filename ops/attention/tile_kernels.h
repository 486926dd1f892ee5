#pragma once
// The three matrix products of attention on one tile of keys and one block of queries, in f32 or f64.
//
// Queries lie in the lanes of vectors ("panel" layout: row = a coordinate, column = a query), so K and V are read row
// by row as they are given, or as packs where they are copied anyway (packs.h), one scalar broadcast per multiply-add
// group, and the statistics of softmax are plain lane-wise vectors. Forward uses scores and accumulate; backward all
// three. All operands are in elements of C; a row stride may be anything. Nothing is allocated; results depend on the
// arguments only.
//
// Keys come from far away, a page apart in [B,L,H,D] layouts, where the hardware does not run ahead: `ahead` elements
// after each of their rows or packs lies one that is wanted soon, asked for meanwhile; only a hint.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ops/simd.h"

namespace tessera::attention {

// A matrix with unit column stride.
template <class C>
struct Rows {
  C* data;
  std::ptrdiff_t stride;
  C* row(std::int64_t i) const { return data + i * stride; }
  operator Rows<const C>() const { return {data, stride}; }
};

// Queries of one block: three vectors of accumulators per key saturate the multiply-add units.
inline constexpr int kBlockVectors = 3;
template <class C>
inline constexpr int kBlockLanes = kBlockVectors* simd::kLanes<C>;
// Rows of a register block: with kBlockVectors vectors each, 24 accumulators of 32 registers, or 12 of 16.
inline constexpr int kBlockRows = simd::kRegisters == 32 ? 8 : 4;

// A matrix with its rows in packs of kBlockRows, which register blocks take side by side: element (row, column) is
// data[row / kBlockRows * stride + column * kBlockRows + row % kBlockRows].
template <class C>
struct Packs {
  C* data;
  std::ptrdiff_t stride;
  C* row(std::int64_t i) const { return data + i / kBlockRows * stride + i % kBlockRows; }
  Packs from_column(std::int64_t i) const { return {data + i * kBlockRows, stride}; }
  operator Packs<const C>() const { return {data, stride}; }
};

// Elements of a cache line.
template <class C>
inline constexpr std::int64_t kLine = 64 / static_cast<std::int64_t>(sizeof(C));

// Calls f(integral_constant<n>) for 1 <= n <= limit.
template <int limit, class F>
[[gnu::always_inline]] inline void with_constant(int n, F&& f) {
  if constexpr (limit > 0) {
    if (n == limit) {
      f(std::integral_constant<int, limit>{});
    } else {
      with_constant<limit - 1>(n, f);
    }
  }
}

// Calls f(first, integral_constant<size>) for blocks that make up 0 .. n-1: as many of `most` as fit, then powers of
// two.
template <int most, class F>
[[gnu::always_inline]] inline void for_blocks(std::int64_t n, F&& f, std::int64_t first = 0) {
  for (; first + most <= n; first += most) f(first, std::integral_constant<int, most>{});
  if constexpr (most > 1) for_blocks<static_cast<int>(std::bit_floor(most - 1u))>(n, f, first);
}

// s[j][i] = factor * sum_d keys[j][d] * queries[d][i], for j < key_count, i < vectors * lanes, d < dim. Operand: Rows
// or Packs.
template <class C, template <class> class Operand>
void tile_scores(Operand<const C> keys, int key_count, Rows<const C> queries, int vectors, std::int64_t dim, C factor,
                 Rows<C> s, std::ptrdiff_t ahead = 0);

// acc[c][i] = acc[c][i] * alpha[i] + sum_j values[j][c] * p[j][i], for c < dim; alpha has vectors * lanes elements. As
// packs, values are transposed: a row is a coordinate, a column a key.
template <class C, template <class> class Operand>
void tile_accumulate(Operand<const C> values, int key_count, std::int64_t dim, Rows<const C> p, int vectors,
                     const C* alpha, Rows<C> acc, std::ptrdiff_t ahead = 0);

// out[j][c] += sum_i p[j][i] * right[i][c], for j < key_count, i < query_count, c < dim. Rows of `right` are read up to
// the next multiple of the vector width; `out` is touched below dim only.
template <class C>
void tile_outer(Rows<const C> p, int key_count, int query_count, Rows<const C> right, std::int64_t dim, Rows<C> out,
                std::ptrdiff_t ahead_p = 0, std::ptrdiff_t ahead_right = 0);

}  // namespace tessera::attention
