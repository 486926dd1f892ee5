#pragma once
// Moves rows of tensors into the lanes of panels and back: panel[c][lane] = rows[lane][c].
#include <algorithm>

#include "ops/attention/kernel.h"
#include "ops/attention/tile_kernels.h"
#include "runtime/base/parts.h"

namespace tessera::attention {

// Packs elements 0 .. n-1 (stride `step`) of vectors * kLanes rows; every entry of `rows` must be readable.
template <class C, class S>
void pack_panel(const S* const* rows, std::int64_t step, std::int64_t n, int vectors, Rows<C> panel) {
  constexpr int lanes = simd::kLanes<C>;
  for (int v = 0; v < vectors; ++v, rows += lanes, panel.data += lanes) {
    std::int64_t c = 0;
    if (step == 1) {
      for (; c + lanes <= n; c += lanes) {
        simd::Vec<C> square[lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) square[i] = simd::load_as<C>(rows[i] + c);
        simd::transpose<C>(square);
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) simd::store<C>(panel.row(c + i), square[i]);
      }
    }
    for (; c < n; ++c) {
      if (step == 0 && c > 0) {
        simd::store<C>(panel.row(c), simd::load<C>(panel.row(0)));
        continue;
      }
      for (int i = 0; i < lanes; ++i) panel.row(c)[i] = static_cast<C>(static_cast<Compute<S>>(rows[i][c * step]));
    }
  }
}

// rows[lane][c] = finish(lane, c, panel[c][lane] * factor[lane]) for lane < count, c < n; finish gets one element, or a
// vector of them from c on.
template <class C, class S, class F>
void unpack_panel(Rows<const C> panel, const C* factor, int count, std::int64_t n, S* const* rows, F&& finish) {
  constexpr int lanes = simd::kLanes<C>;
  for (int first = 0; first < count; first += lanes, rows += lanes, panel.data += lanes, factor += lanes) {
    const simd::Vec<C> scale = simd::load(factor);
    const int part = count - first < lanes ? count - first : lanes;
    std::int64_t c = 0;
    for (; c + lanes <= n; c += lanes) {
      simd::Vec<C> square[lanes];
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) square[i] = simd::load(panel.row(c + i)) * scale;
      simd::transpose<C>(square);
      for (int i = 0; i < part; ++i) simd::store_as<C>(rows[i] + c, finish(first + i, c, square[i]));
    }
    for (; c < n; ++c) {
      for (int i = 0; i < part; ++i) rows[i][c] = static_cast<S>(finish(first + i, c, panel.row(c)[i] * factor[i]));
    }
  }
}

template <class C, class S>
void unpack_panel(Rows<const C> panel, const C* factor, int count, std::int64_t n, S* const* rows) {
  unpack_panel<C>(panel, factor, count, n, rows, [](int, std::int64_t, auto x) { return x; });
}

// Row length of a copy that is read column by column: an odd number of cache lines spreads it over all cache sets.
template <class C>
std::int64_t copy_pitch(std::int64_t dim) {
  return (divide_up(dim, kLine<C>) | 1) * kLine<C>;
}

// Elements of C that copies of a row of qk_dim and of one of v_dim take.
template <class C>
std::int64_t row_size(const AttentionShape& shape) {
  return copy_pitch<C>(shape.qk_dim) + copy_pitch<C>(shape.v_dim);
}

template <class C, class S>
void copy_row(const S* from, std::int64_t dim, C* to) {
  if constexpr (std::is_same_v<C, S> && sizeof(C) == 2) {
    std::copy_n(from, dim, to);
  } else {
    constexpr int lanes = simd::kLanes<C>;
    std::int64_t c = 0;
    for (; c + lanes <= dim; c += lanes) simd::store<C>(to + c, simd::load_as<C>(from + c));
    for (; c < dim; ++c) to[c] = static_cast<C>(from[c]);
  }
}

// Asks for a row that is needed soon: rows of [B,L,H,D] tensors lie a page apart, where the hardware does not run
// ahead.
inline constexpr int kRowsAhead = 4;
template <class S>
void prefetch_row(const S* row, std::int64_t dim) {
  for (std::int64_t c = 0; c < dim; c += kLine<S>) __builtin_prefetch(row + c);
}

template <class S>
void prefetch_row_to_write(S* row, std::int64_t dim) {
  for (std::int64_t c = 0; c < dim; c += kLine<S>) __builtin_prefetch(row + c, 1);
}

// Blocks of products are small: with 16 registers tile_accumulate takes but a quarter of a cache line of every row at a
// time, and has few slots to spare for what waits.
inline constexpr bool kSmallBlocks = kBlockRows < 8;

// Whether rows that tile_accumulate reads are worth a copy for `blocks` blocks of queries, even where they are C: rows
// that lie a power of two apart have few sets of L1 to share, so that each line comes from L2 four times.
constexpr bool copy_pays(std::int64_t blocks) { return kSmallBlocks && blocks > 2; }

// The rows of a tile as C: in place, or converted into `copy`, of pitch copy_pitch, which may be null if the storage
// type is C.
template <class C, class S>
Rows<const C> rows_as(const S* rows, std::ptrdiff_t stride, int count, std::int64_t dim, C* copy) {
  if constexpr (std::is_same_v<C, S>)
    if (copy == nullptr) return {rows, stride};
  const std::int64_t pitch = copy_pitch<C>(dim);
  for (int j = 0; j < count; ++j) {
    prefetch_row(rows + std::min(j + kRowsAhead, count - 1) * stride, dim);
    copy_row<C>(rows + j * stride, dim, copy + j * pitch);
  }
  return {copy, static_cast<std::ptrdiff_t>(pitch)};
}

}  // namespace tessera::attention
