#include "ops/unfold.h"

namespace tessera {
namespace {

// Calls run(first column within the piece, columns, address in x of the first or null in the padding) for the stretches
// of one row that lie on one line of the last axis; successive columns are `stride` apart in x.
template <class T, class Run>
void for_each_run(const Window& window, std::int64_t row, std::int64_t column, std::int64_t columns, T* x, Run run) {
  const auto axes = window.size();
  const WindowAxis& line = window.back();
  Shape tap(axes);
  std::int64_t channel = row;
  for (std::size_t a = axes; a-- > 0; channel /= window[a].kernel) tap[a] = channel % window[a].kernel;
  const auto [first, last] = line.inside(tap.back());
  const std::int64_t end = column + columns;
  for (std::int64_t at = column; at < end;) {
    std::int64_t rest = at / line.out;
    const std::int64_t o = at % line.out, stop = std::min(line.out, o + end - at);
    std::int64_t offset = 0, size = line.in;
    bool inside = true;
    for (std::size_t a = axes - 1; a-- > 0; rest /= window[a].out) {
      const auto& w = window[a];
      const std::int64_t i = rest % w.out * w.stride + tap[a] * w.dilation - w.begin;
      inside = inside && i >= 0 && i < w.in;
      offset += i * size;
      size *= w.in;
    }
    const std::int64_t from = inside ? std::clamp(first, o, stop) : stop,
                       to = inside ? std::clamp(last, from, stop) : stop;
    const std::int64_t base = at - column - o;
    if (from > o) run(base + o, from - o, static_cast<T*>(nullptr));
    if (to > from)
      run(base + from, to - from,
          x + channel * size + offset + from * line.stride + tap.back() * line.dilation - line.begin);
    if (stop > to) run(base + to, stop - to, static_cast<T*>(nullptr));
    at += stop - o;
  }
}

}  // namespace

template <class T>
void unfold(const Window& window, const UnfoldedPiece& piece, const T* x, T* to) {
  const std::int64_t stride = window.back().stride;
  for (std::int64_t r = 0; r < piece.rows; ++r) {
    T* row = to + r * piece.columns;
    for_each_run(window, piece.row + r, piece.column, piece.columns, x,
                 [&](std::int64_t c, std::int64_t n, const T* from) {
                   if (!from)
                     std::fill_n(row + c, n, T{0});
                   else if (stride == 1)
                     std::copy_n(from, n, row + c);
                   else
                     for (std::int64_t i = 0; i < n; ++i) row[c + i] = from[i * stride];
                 });
  }
}

template <class T>
void fold(const Window& window, const UnfoldedPiece& piece, const T* from, T* x) {
  const std::int64_t stride = window.back().stride;
  for (std::int64_t r = 0; r < piece.rows; ++r) {
    const T* row = from + r * piece.columns;
    for_each_run(window, piece.row + r, piece.column, piece.columns, x, [&](std::int64_t c, std::int64_t n, T* to) {
      if (!to) return;
      if (stride == 1) {
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) to[i] += row[c + i];
      } else {
        for (std::int64_t i = 0; i < n; ++i) to[i * stride] += row[c + i];
      }
    });
  }
}

template void unfold(const Window&, const UnfoldedPiece&, const float*, float*);
template void unfold(const Window&, const UnfoldedPiece&, const double*, double*);
template void fold(const Window&, const UnfoldedPiece&, const float*, float*);
template void fold(const Window&, const UnfoldedPiece&, const double*, double*);

}  // namespace tessera
