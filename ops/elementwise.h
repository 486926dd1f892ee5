#pragma once
// Shared by pointwise operators: loops over elements with numpy broadcasting, split by size over the session's threads.
// The functions given see Compute<T> (f32 for sixteen-bit floats) and are inlined into `omp simd` loops: keep them free
// of branches that cannot be if-converted, and of calls. The output may be one of the inputs of equal shape (in place).
#include "ops/broadcast.h"
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

// Gradient of Max and Min: dy goes to the first input that equals the output.
inline std::vector<ValueId> gradient_to_first_equal(GradContext& g) {
  const ValueId zero = g.scalar_like(g.dout(0), 0);
  std::vector<ValueId> grads;
  ValueId taken = ValueId::none;
  for (int i = 0; i < g.inputs(); ++i) {
    const ValueId equal = g.node("Equal", {g.in(i), g.out(0)});
    const bool first = taken == ValueId::none;
    const ValueId mine = first ? equal : g.node("And", {equal, g.node("Not", {taken})});
    taken = first ? equal : g.node("Or", {taken, equal});
    grads.push_back(g.needs(i) ? g.node("Where", {mine, g.dout(0), zero}) : ValueId::none);
  }
  return grads;
}

// The element type of the output is that of input 0.
struct SameType {};
template <class Out, class T>
using OutType = std::conditional_t<std::is_same_v<Out, SameType>, T, Out>;

// to = x, rounded. Sixteen-bit floats are written as bits: GCC does not vectorise copies of a struct.
template <class T, class C>
void store(T& to, C x) {
  if constexpr (requires { to.bits; })
    to.bits = T(x).bits;
  else
    to = static_cast<T>(x);
}

// y[i] = f(x[i]).
template <class T, class To, class F>
void map_values(const T* x, To* y, std::int64_t size, F f) {
  run_parallel(size, pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
    const F own = f;  // so that what f holds is read once: for all GCC knows, y lies over it otherwise
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) store(y[i], own(static_cast<Compute<T>>(x[i])));
  });
}

// out[i] = f(in[i]).
template <class Supported, class Out = SameType, class F>
void map(const KernelContext& k, F f) {
  with_type(Supported{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    map_values(k.in(0).template read<T>().data(), k.out(0).template write<OutType<Out, T>>().data(), k.in(0).size(), f);
  });
}

// y[i] = f(a[i sa], b[i sb]) for n elements; a step of 0 repeats one element, 1 walks.
template <class A, class B, class To, class F>
void map2_row(const A* a, std::int64_t sa, const B* b, std::int64_t sb, To* y, std::int64_t n, F f) {
  using CA = Compute<A>;
  using CB = Compute<B>;
  if (sa == 1 && sb == 1) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) store(y[i], f(static_cast<CA>(a[i]), static_cast<CB>(b[i])));
  } else if (sa == 1) {
    const CB c = static_cast<CB>(*b);
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) store(y[i], f(static_cast<CA>(a[i]), c));
  } else if (sb == 1) {
    const CA c = static_cast<CA>(*a);
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) store(y[i], f(c, static_cast<CB>(b[i])));
  } else {
    std::fill_n(y, n, static_cast<To>(f(static_cast<CA>(*a), static_cast<CB>(*b))));
  }
}

// out[i] = f(a[i], b[i]) with broadcasting, for tensors of elements A, B and To.
template <class A, class B, class To, class F>
void map2_tensors(const Tensor& a, const Tensor& b, Tensor& out, F f) {
  const A* pa = a.template read<A>().data();
  const B* pb = b.template read<B>().data();
  To* y = out.template write<To>().data();
  if (a.size() == out.size() && (b.size() == out.size() || b.size() == 1)) {
    const std::int64_t sb = b.size() == 1 ? 0 : 1;
    run_parallel(out.size(), pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
      map2_row(pa + begin, 1, pb + begin * sb, sb, y + begin, end - begin, f);
    });
    return;
  }
  const BroadcastLoop<2> loop(out.shape(), {&a.shape(), &b.shape()});
  run_parallel(out.size(), pointwise_grain, [&](std::int64_t begin, std::int64_t end) {
    loop.run(begin, end, [&](std::int64_t i, const auto& offset, std::int64_t n) {
      map2_row(pa + offset[0], loop.step(0), pb + offset[1], loop.step(1), y + i, n, f);
    });
  });
}

// out[i] = f(in 0 [i], in 1 [i]) with broadcasting; both inputs are of one type.
template <class Supported, class Out = SameType, class F>
void map2(const KernelContext& k, F f) {
  with_type(Supported{}, k.in(0).dtype(),
            [&]<class T>(Type<T>) { map2_tensors<T, T, OutType<Out, T>>(k.in(0), k.in(1), k.out(0), f); });
}

// out[i] = f(...f(f(in 0 [i], in 1 [i]), in 2 [i])...) with broadcasting. In place over inputs 0 and 1 only: the output
// is written after two inputs are read.
template <class Supported, class F>
void fold_inputs(const KernelContext& k, F f) {
  with_type(Supported{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    if (k.inputs() == 1)
      return map_values(k.in(0).template read<T>().data(), k.out(0).template write<T>().data(), k.out(0).size(),
                        [](auto x) { return x; });
    map2_tensors<T, T, T>(k.in(0), k.in(1), k.out(0), f);
    for (int i = 2; i < k.inputs(); ++i) map2_tensors<T, T, T>(k.out(0), k.in(i), k.out(0), f);
  });
}

}  // namespace tessera
