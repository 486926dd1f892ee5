#pragma once
// Shared by pointwise operators: loops over elements with numpy broadcasting, split by size over the session's threads.
#include <algorithm>
#include <array>

#include "runtime/op/context.h"

namespace tessera {

// Elements per parallel chunk: large enough to hide a task's cost, small enough to balance.
inline constexpr std::int64_t pointwise_grain = 16384;

// Shape rules.
inline void same_as_input(ShapeContext& c) {
  for (int i = 0; i < c.outputs(); ++i) c.out(i, c.in(0));
}
inline void broadcast_all(ShapeContext& c) {
  Shape s = c.in(0);
  for (int i = 1; i < c.inputs(); ++i)
    if (c.has(i)) s = broadcast(s, c.in(i));
  c.out(0, std::move(s));
}

// out[i] = f(in[i]); f sees Compute<T> (f32 for sixteen-bit floats). Out is the element type of the output; by default
// that of the input.
struct SameType {};
template <class Supported, class Out = SameType, class F>
void map(const KernelContext& k, F f) {
  with_type(Supported{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using To = std::conditional_t<std::is_same_v<Out, SameType>, T, Out>;
    const T* x = k.in(0).template read<T>().data();
    To* y = k.out(0).template write<To>().data();
    run_parallel(k.in(0).size(), pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) y[i] = static_cast<To>(f(static_cast<Compute<T>>(x[i])));
    });
  });
}

// How N inputs are read to make one output: adjacent axes that every input walks alike are merged, so most kernels end
// in one long inner loop. strides[n] is 0 on axes along which input n is broadcast.
template <int N>
struct BroadcastLoop {
  Shape dims;  // merged; never empty; the last is the inner loop
  Shape strides[N];
  std::int64_t size = 1;

  BroadcastLoop(const Shape& out, const std::array<const Shape*, N>& in) {
    Shape full[N];
    for (int n = 0; n < N; ++n) full[n] = broadcast_strides(*in[n], out);
    for (std::size_t a = 0; a < out.size(); ++a) {
      size *= out[a];
      if (out[a] == 1) continue;
      bool merges = !dims.empty();
      for (int n = 0; n < N && merges; ++n) merges = strides[n].back() == full[n][a] * out[a];
      if (merges) {
        dims.back() *= out[a];
        for (int n = 0; n < N; ++n) strides[n].back() = full[n][a];
      } else {
        dims.push_back(out[a]);
        for (int n = 0; n < N; ++n) strides[n].push_back(full[n][a]);
      }
    }
    if (!dims.empty()) return;
    dims.push_back(1);
    for (auto& s : strides) s.push_back(1);
  }

  // Calls row(first output element, offsets of the inputs, elements) for the pieces of [begin, end) that lie in one
  // inner row each.
  template <class Row>
  void run(std::int64_t begin, std::int64_t end, Row row) const {
    const int rank = dims.rank();
    const std::int64_t inner = dims.back();
    Shape at(dims.size());
    std::int64_t rest = begin;
    for (int a = rank - 1; a >= 0; --a) {
      at[static_cast<std::size_t>(a)] = rest % dims[static_cast<std::size_t>(a)];
      rest /= dims[static_cast<std::size_t>(a)];
    }
    std::array<std::int64_t, N> offset{};
    for (int n = 0; n < N; ++n)
      for (std::size_t a = 0; a < dims.size(); ++a) offset[n] += at[a] * strides[n][a];
    for (std::int64_t i = begin; i < end;) {
      const std::int64_t count = std::min(inner - at.back(), end - i);
      row(i, offset, count);
      i += count;
      // To the start of the next row.
      for (int n = 0; n < N; ++n) offset[n] -= at.back() * strides[n].back();
      at.back() = 0;
      for (int a = rank - 2; a >= 0; --a) {
        const auto s = static_cast<std::size_t>(a);
        for (int n = 0; n < N; ++n) offset[n] += strides[n][s];
        if (++at[s] < dims[s]) break;
        for (int n = 0; n < N; ++n) offset[n] -= dims[s] * strides[n][s];
        at[s] = 0;
      }
    }
  }
};

// y[i] = f(a[i sa], b[i sb]) for n elements; a stride of 0 repeats one element, 1 walks.
template <class T, class To, class F>
void map2_row(const T* a, std::int64_t sa, const T* b, std::int64_t sb, To* y, std::int64_t n, F f) {
  using C = Compute<T>;
  if (sa == 1 && sb == 1) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<To>(f(static_cast<C>(a[i]), static_cast<C>(b[i])));
  } else if (sa == 1 && sb == 0) {
    const C c = static_cast<C>(*b);
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<To>(f(static_cast<C>(a[i]), c));
  } else if (sa == 0 && sb == 1) {
    const C c = static_cast<C>(*a);
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<To>(f(c, static_cast<C>(b[i])));
  } else {
    for (std::int64_t i = 0; i < n; ++i)
      y[i] = static_cast<To>(f(static_cast<C>(a[i * sa]), static_cast<C>(b[i * sb])));
  }
}

// out[i] = f(a[i], b[i]) with broadcasting.
template <class Supported, class Out = SameType, class F>
void map2(const KernelContext& k, F f) {
  with_type(Supported{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using To = std::conditional_t<std::is_same_v<Out, SameType>, T, Out>;
    const T* a = k.in(0).template read<T>().data();
    const T* b = k.in(1).template read<T>().data();
    To* y = k.out(0).template write<To>().data();
    const std::int64_t size = k.out(0).size();
    if (k.in(0).shape() == k.in(1).shape()) {
      run_parallel(size, pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
        map2_row(a + begin, 1, b + begin, 1, y + begin, end - begin, f);
      });
      return;
    }
    const BroadcastLoop<2> loop(k.out(0).shape(), {&k.in(0).shape(), &k.in(1).shape()});
    const std::int64_t sa = loop.strides[0].back(), sb = loop.strides[1].back();
    run_parallel(size, pointwise_grain, [&](std::int64_t begin, std::int64_t end) {
      loop.run(begin, end, [&](std::int64_t i, const auto& offset, std::int64_t n) {
        map2_row(a + offset[0], sa, b + offset[1], sb, y + i, n, f);
      });
    });
  });
}

}  // namespace tessera
