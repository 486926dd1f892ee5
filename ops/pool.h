#pragma once
// Shared by the pools: windows that slide over each plane [in...] of an input [batch, channels, in...], for any number
// of spatial axes.
//
// Outputs are made in rows along the last axis. A row is passed over once per tap: the inputs that one tap of
// neighbouring windows reads lie `stride` apart, so the innermost loops know nothing of windows and padding. Thread
// rule: rows are split by sizes only, and taps have one order.
#include <array>
#include <type_traits>

#include "ops/window.h"
#include "runtime/base/parts.h"

namespace tessera {

struct Pool {
  // Outputs [first, last) of the last axis, of which one tap reads inputs inside.
  struct Reach {
    std::int64_t first, last;
  };

  std::int64_t planes = 0;
  Window window{};
  std::int64_t first_tap = 0;      // of the last axis, the first that reads any input
  InlineVector<Reach, 8> reach{};  // of the taps from there to the last that does

  std::int64_t inputs() const { return count(ins(window)); }  // per plane
  std::int64_t positions() const { return count(outs(window)); }
  double taps() const;
  double flops() const { return static_cast<double>(planes) * static_cast<double>(positions()) * taps(); }
};

// The pool of these attributes over x. Error(bad_input) where rank, kernel_shape or pads do not fit. `reads_input`:
// also where a window would hold nothing but padding, of which there is no maximum and no mean.
Pool pool_over(const AttributeReader& attr, const Shape& x, bool reads_input);
// [batch, channels, out...].
Shape pooled(const Shape& x, const Pool& pool);

inline constexpr std::int64_t pool_columns = 512;

// Outputs [first, first + n) of one line of the last axis; n <= pool_columns.
struct PoolRow {
  std::int64_t plane, first, n;
  std::int64_t out;  // the first one's place in the result
  Shape at;          // the line's place on the axes before the last
};

// Calls row(const PoolRow&) for all outputs of all planes, in parallel.
template <class Row>
void for_each_pool_row(const Pool& pool, Row row) {
  const std::size_t last = pool.window.size() - 1;
  const std::int64_t width = pool.window[last].out, pieces = divide_up(width, pool_columns);
  const std::int64_t positions = pool.positions();
  if (pool.planes == 0 || positions == 0) return;
  const double work = static_cast<double>(std::min(width, pool_columns)) * pool.taps();
  const std::int64_t grain = std::max<std::int64_t>(1, static_cast<std::int64_t>(32768 / std::max(work, 1.0)));
  run_parallel(pool.planes * (positions / width) * pieces, grain, [&](std::int64_t begin, std::int64_t end) {
    PoolRow r{0, 0, 0, 0, Shape(last)};
    for (std::int64_t i = begin; i < end; ++i) {
      r.first = i % pieces * pool_columns;
      r.n = std::min(pool_columns, width - r.first);
      r.out = i / pieces * width + r.first;
      std::int64_t rest = i / pieces;
      for (std::size_t a = last; a-- > 0; rest /= pool.window[a].out) r.at[a] = rest % pool.window[a].out;
      r.plane = rest;
      row(std::as_const(r));
    }
  });
}

// Calls take(first, n, offset) for the taps of a row that read inputs, in row-major order: outputs [first, first + n),
// counted from the row's first, read the elements of the plane at offset, offset + stride, ...
template <class Take>
void for_each_tap(const Pool& pool, const PoolRow& row, Take take) {
  const std::size_t last = pool.window.size() - 1;
  const WindowAxis& line = pool.window[last];
  Shape first(last), many(last);
  std::int64_t lines = 1;
  for (std::size_t a = 0; a < last; ++a) {
    const auto [from, to] = pool.window[a].taps(row.at[a], pool.window[a].in);
    first[a] = from;
    lines *= many[a] = to - from;
  }
  for (std::int64_t l = 0; l < lines; ++l) {
    std::int64_t rest = l, offset = 0, size = line.in;
    for (std::size_t a = last; a-- > 0; rest /= many[a]) {
      const WindowAxis& w = pool.window[a];
      offset += (row.at[a] * w.stride + (first[a] + rest % many[a]) * w.dilation - w.begin) * size;
      size *= w.in;
    }
    for (std::size_t t = 0; t < pool.reach.size(); ++t) {
      const std::int64_t from = std::max(pool.reach[t].first, row.first);
      const std::int64_t to = std::min(pool.reach[t].last, row.first + row.n);
      const std::int64_t tap = pool.first_tap + static_cast<std::int64_t>(t);
      if (from < to) take(from - row.first, to - from, offset + from * line.stride + tap * line.dilation - line.begin);
    }
  }
}

// Calls f(step) with the distance of neighbouring windows' inputs: a constant where it is a common one, for which loops
// over elements become vector code.
template <class F>
void with_step(std::int64_t stride, F f) {
  if (stride == 1) return f(std::integral_constant<std::int64_t, 1>{});
  if (stride == 2) return f(std::integral_constant<std::int64_t, 2>{});
  f(stride);
}

}  // namespace tessera
