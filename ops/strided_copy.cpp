#include "ops/strided_copy.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/parts.h"
#include "runtime/op/parallel.h"

namespace tessera {
namespace {

constexpr std::int64_t chunk_bytes = 128 << 10;  // per parallel task: some 10 us of copying
constexpr int widest_block = 16;                 // bytes moved as one element

// One merged axis; steps in bytes.
struct Axis {
  std::int64_t n, from, to;
};
using Layout = InlineVector<Axis, 8>;

Layout merged(const Shape& dims, const Shape& from, const Shape& to, std::int64_t width) {
  Layout axes;
  for (std::size_t a = 0; a < dims.size(); ++a) {
    if (dims[a] == 1) continue;
    const Axis next{dims[a], from[a] * width, to[a] * width};
    if (!axes.empty() && axes.back().from == next.from * next.n && axes.back().to == next.to * next.n)
      axes.back() = {axes.back().n * next.n, next.from, next.to};
    else
      axes.push_back(next);
  }
  return axes;
}

template <int W>
void copy_block(std::byte* to, const std::byte* from) {
  std::memcpy(to, from, W);
}

// `n` blocks of W bytes, each `fs` after the last in `from` and `ts` in `to`.
template <int W>
void copy_row(std::byte* to, std::int64_t ts, const std::byte* from, std::int64_t fs, std::int64_t n) {
  if (fs == W && ts == W) {
    std::memcpy(to, from, static_cast<std::size_t>(n * W));
  } else if (fs == 2 * W && ts == W) {  // every second one: interleaved pairs taken apart
    for (std::int64_t i = 0; i < n; ++i) copy_block<W>(to + i * W, from + i * 2 * W);
  } else if (fs == 0 && ts == W) {
    std::byte value[W];
    copy_block<W>(value, from);
    for (std::int64_t i = 0; i < n; ++i) copy_block<W>(to + i * W, value);
  } else {
    for (std::int64_t i = 0; i < n; ++i) copy_block<W>(to + i * ts, from + i * fs);
  }
}

// Blocks [begin, end) in the order of the axes: pieces of one row, or as many whole rows as the axis above holds.
template <int W>
void copy_range(const Layout& axes, const std::byte* from, std::byte* to, std::int64_t begin, std::int64_t end) {
  const Axis row = axes.back();
  const Axis above = axes.size() > 1 ? axes[axes.size() - 2] : Axis{1, 0, 0};
  while (begin < end) {
    std::int64_t rest = begin / row.n;
    const std::int64_t at = begin - rest * row.n, next_row = rest % above.n;
    const std::byte* f = from + at * row.from;
    std::byte* t = to + at * row.to;
    for (std::size_t a = axes.size() - 1; a-- > 0;) {
      const std::int64_t i = rest % axes[a].n;
      f += i * axes[a].from;
      t += i * axes[a].to;
      rest /= axes[a].n;
    }
    if (at == 0 && end - begin >= row.n) {
      const std::int64_t rows = std::min(above.n - next_row, (end - begin) / row.n);
      for (std::int64_t r = 0; r < rows; ++r)
        copy_row<W>(t + r * above.to, row.to, f + r * above.from, row.from, row.n);
      begin += rows * row.n;
    } else {
      const std::int64_t n = std::min(row.n - at, end - begin);
      copy_row<W>(t, row.to, f, row.from, n);
      begin += n;
    }
  }
}

// Blocks on the side of a tile: rows of two cache lines where the blocks are not too small.
template <int W>
constexpr std::int64_t tile_side = std::clamp(128 / W, 16, 64);

// A tile of a x b blocks: contiguous along b in `from` and along a in `to`. Rows are read and written whole, by way of
// a buffer: rows that lie a power of two apart share their place in the cache, which holds few of them.
template <int W>
void transpose_tile(const std::byte* from, std::int64_t from_a, std::byte* to, std::int64_t to_b, std::int64_t a,
                    std::int64_t b) {
  constexpr std::int64_t side = tile_side<W>;
  std::byte rows[side * side * W];
  for (std::int64_t i = 0; i < a; ++i)
    std::memcpy(rows + i * side * W, from + i * from_a, static_cast<std::size_t>(b * W));
  for (std::int64_t j = 0; j < b; ++j)
    for (std::int64_t i = 0; i < a; ++i) copy_block<W>(to + j * to_b + i * W, rows + (i * side + j) * W);
}

// The innermost axis of `to` against axis `b`, the innermost of `from`, tile by tile; every other axis around them.
template <int W>
void copy_transposed(const Layout& axes, std::size_t b, const std::byte* from, std::byte* to) {
  constexpr std::int64_t side = tile_side<W>;
  const Axis inner_to = axes.back(), inner_from = axes[b];
  const std::int64_t tiles_a = divide_up(inner_to.n, side), tiles_b = divide_up(inner_from.n, side);
  std::int64_t tiles = tiles_a * tiles_b;
  for (std::size_t x = 0; x + 1 < axes.size(); ++x)
    if (x != b) tiles *= axes[x].n;
  run_parallel(tiles, std::max<std::int64_t>(chunk_bytes / (side * side * W), 1),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   std::int64_t rest = i / tiles_a;
                   const std::int64_t ta = i % tiles_a * side, tb = rest % tiles_b * side;
                   rest /= tiles_b;
                   const std::byte* f = from + ta * inner_to.from + tb * W;
                   std::byte* t = to + ta * W + tb * inner_from.to;
                   for (std::size_t x = axes.size() - 1; x-- > 0;) {
                     if (x == b) continue;
                     f += rest % axes[x].n * axes[x].from;
                     t += rest % axes[x].n * axes[x].to;
                     rest /= axes[x].n;
                   }
                   transpose_tile<W>(f, inner_to.from, t, inner_from.to, std::min(side, inner_to.n - ta),
                                     std::min(side, inner_from.n - tb));
                 }
               });
}

template <int W>
void copy_blocks(const Layout& axes, const std::byte* from, std::byte* to) {
  if (axes.empty()) return copy_block<W>(to, from);
  if (axes.back().to == W && axes.back().from != W && axes.back().n >= 4)
    for (std::size_t b = 0; b + 1 < axes.size(); ++b)
      if (axes[b].from == W && axes[b].n >= 4) return copy_transposed<W>(axes, b, from, to);
  std::int64_t blocks = 1;
  for (const Axis& a : axes) blocks *= a.n;
  if (axes.size() == 1 && blocks <= chunk_bytes / W) return copy_row<W>(to, axes[0].to, from, axes[0].from, blocks);
  run_parallel(blocks, chunk_bytes / W,
               [&](std::int64_t begin, std::int64_t end) { copy_range<W>(axes, from, to, begin, end); });
}

}  // namespace

void strided_copy(DType dtype, const Shape& dims, const void* from, const Shape& from_strides, void* to,
                  const Shape& to_strides) {
  for (const auto d : dims)
    if (d == 0) return;
  auto width = static_cast<std::int64_t>(size_of(dtype));
  Layout axes = merged(dims, from_strides, to_strides, width);
  // A short contiguous run is one wider block.
  if (!axes.empty() && axes.back().from == width && axes.back().to == width) {
    const std::int64_t run = axes.back().n * width;
    if (run <= widest_block && (run & (run - 1)) == 0) {
      width = run;
      axes.pop_back();
    }
  }
  const auto* f = static_cast<const std::byte*>(from);
  auto* t = static_cast<std::byte*>(to);
  switch (width) {
    case 1:
      return copy_blocks<1>(axes, f, t);
    case 2:
      return copy_blocks<2>(axes, f, t);
    case 4:
      return copy_blocks<4>(axes, f, t);
    case 8:
      return copy_blocks<8>(axes, f, t);
    default:
      return copy_blocks<16>(axes, f, t);
  }
}

}  // namespace tessera
