#pragma once
// Shared by Softmax, LogSoftmax, Hardmax and LpNormalization: the slices of a tensor along one axis.
#include <algorithm>
#include <limits>

#include "runtime/base/parts.h"
#include "runtime/op/context.h"

namespace tessera {

// The shape rule: one output, shape of the input; `axis` is one of it.
inline void slices_along_axis(ShapeContext& c) {
  c.axis();
  c.out(0, c.in(0));
}

// Calls row(x, y, scratch-free length n) for each slice along `axis`: contiguous slices in place, others through a copy
// of `lanes` neighbouring slices at a time, so that memory is still read in order. T is the element type, C what is
// computed.
template <class T, class Row>
void for_each_slice(const Tensor& in, Tensor& out, int axis, Row row) {
  const Shape& s = in.shape();
  const std::int64_t n = s[static_cast<std::size_t>(axis)];
  const std::int64_t inner = count(std::span<const std::int64_t>(s).subspan(static_cast<std::size_t>(axis) + 1));
  const T* x = in.read<T>().data();
  T* y = out.write<T>().data();
  if (in.size() == 0) return;
  const std::int64_t rows = in.size() / n, grain = std::max<std::int64_t>(1, 16384 / n);
  if (inner == 1) {
    run_parallel(rows, grain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) row(x + r * n, y + r * n, n);
    });
    return;
  }
  constexpr std::int64_t lanes = 16;
  const std::int64_t groups = divide_up(inner, lanes), outer = rows / inner;
  run_parallel(outer * groups, std::max<std::int64_t>(1, grain / lanes), [=](std::int64_t begin, std::int64_t end) {
    const Scratch<T> slices(lanes * n);
    for (std::int64_t g = begin; g < end; ++g) {
      const std::int64_t first = g % groups * lanes, width = std::min(lanes, inner - first);
      const std::int64_t at = g / groups * n * inner + first;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t l = 0; l < width; ++l) slices[l * n + i] = x[at + i * inner + l];
      for (std::int64_t l = 0; l < width; ++l) row(slices.data() + l * n, slices.data() + l * n, n);
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t l = 0; l < width; ++l) y[at + i * inner + l] = slices[l * n + i];
    }
  });
}

// Largest of n elements; NaN when one is NaN.
template <class T>
Compute<T> peak(const T* x, std::int64_t n) {
  using C = Compute<T>;
  constexpr C least = std::numeric_limits<C>::lowest(), nothing = -std::numeric_limits<C>::infinity();
  C top = nothing, sum = 0;
#pragma omp simd reduction(max : top) reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    const C v = static_cast<C>(x[i]);
    top = v > top ? v : top;
    sum += v != v ? v : C{0};  // stays 0 unless one is NaN
  }
  // Lanes start at the least number, which some compilers (clang) take to be the least finite one.
  if (top == least && std::none_of(x, x + n, [](T v) { return static_cast<C>(v) == least; })) top = nothing;
  return top + sum;
}

// Before 13, axes from `axis` on were taken as one: flatten to a matrix, work on its rows, restore the shape.
inline void rows_of_matrix(RewriteContext& c, std::string_view op) {
  const std::int64_t axis = c.attr().has("axis") ? c.attr().integer("axis") : 1;
  const auto s = c.build.shape(c.in[0]);
  if (axis == -1 || (s && axis == s->rank() - 1)) {
    c.attributes.insert_or_assign("axis", std::int64_t{-1});
    return;
  }
  const ValueId matrix = c.build.node("Flatten", {c.in[0]}, {{"axis", axis}});
  const ValueId y = c.build.node(op, {matrix}, {{"axis", std::int64_t{-1}}});
  c.become({c.build.node("Reshape", {y, c.build.node("Shape", {c.in[0]})}, {{"allowzero", std::int64_t{1}}})});
}

}  // namespace tessera
