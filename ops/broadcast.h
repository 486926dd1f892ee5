#pragma once
// How N inputs are read to make one output of the broadcast shape: adjacent axes that every input walks alike are
// merged into one, so that most kernels end in one long inner loop. A value made per call; no heap allocation up to 8
// axes. Thread rule: const use is free.
#include <algorithm>
#include <array>
#include <utility>

#include "runtime/tensor/shape.h"

namespace tessera {

template <int N>
class BroadcastLoop {
 public:
  using Offsets = std::array<std::int64_t, N>;

  // Requires that every input broadcasts to `out`.
  BroadcastLoop(const Shape& out, const std::array<const Shape*, N>& in) {
    Offsets dense;
    dense.fill(1);
    for (int axis = out.rank() - 1; axis >= 0; --axis) {
      const std::int64_t dim = out[static_cast<std::size_t>(axis)];
      if (dim == 1) continue;
      Offsets step;
      for (int n = 0; n < N; ++n) {
        const int own = axis - (out.rank() - in[n]->rank());
        const std::int64_t d = own < 0 ? 1 : (*in[n])[static_cast<std::size_t>(own)];
        step[n] = d == 1 ? 0 : dense[n];
        dense[n] *= d;
      }
      append(dim, step);
    }
    if (dims_.empty()) append(1, {});
  }

  // Inputs read with the strides given, one per axis of `out`.
  BroadcastLoop(const Shape& out, const std::array<Shape, N>& strides) {
    for (std::size_t axis = out.size(); axis-- > 0;) {
      if (out[axis] == 1) continue;
      Offsets step;
      for (int n = 0; n < N; ++n) step[n] = strides[n][axis];
      append(out[axis], step);
    }
    if (dims_.empty()) append(1, {});
  }

  // Elements that input n advances per element of the inner loop: 1, or 0 where it is broadcast (or its own stride).
  std::int64_t step(int n) const { return steps_[n][0]; }

  // Calls row(first output element, offsets of the inputs, elements) for the pieces of [begin, end) that lie in one
  // inner row each, in ascending order.
  template <class Row>
  void run(std::int64_t begin, std::int64_t end, Row row) const {
    if (begin >= end) return;
    Shape at(dims_.size());
    Offsets offset{};
    std::int64_t rest = begin;
    for (std::size_t a = 0; a < dims_.size(); ++a) {
      at[a] = rest % dims_[a];
      rest /= dims_[a];
      for (int n = 0; n < N; ++n) offset[n] += at[a] * steps_[n][a];
    }
    for (std::int64_t i = begin;;) {
      const std::int64_t length = std::min(dims_[0] - at[0], end - i);
      row(i, std::as_const(offset), length);
      i += length;
      if (i >= end) return;
      for (int n = 0; n < N; ++n) offset[n] -= at[0] * steps_[n][0];
      at[0] = 0;
      for (std::size_t a = 1;; ++a) {
        for (int n = 0; n < N; ++n) offset[n] += steps_[n][a];
        if (++at[a] < dims_[a]) break;
        for (int n = 0; n < N; ++n) offset[n] -= dims_[a] * steps_[n][a];
        at[a] = 0;
      }
    }
  }

 private:
  // Puts one more axis outside of those there are, or merges it into the outermost.
  void append(std::int64_t dim, const Offsets& step) {
    bool merges = !dims_.empty();
    for (int n = 0; n < N && merges; ++n) merges = step[n] == steps_[n].back() * dims_.back();
    if (merges) {
      dims_.back() *= dim;
      return;
    }
    dims_.push_back(dim);
    for (int n = 0; n < N; ++n) steps_[n].push_back(step[n]);
  }

  Shape dims_;  // merged, innermost first; never empty
  std::array<Shape, N> steps_;
};

}  // namespace tessera
