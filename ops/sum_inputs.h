#pragma once
// Shared by Sum and Mean: the sum of any number of inputs, elementwise with broadcasting, rounded once.
#include "ops/elementwise.h"

namespace tessera {

inline bool has_one_input(const ShapeContext& c) { return c.inputs() == 1; }

// out[i] = finish(in 0 [i] + in 1 [i] + ...). Sixteen-bit floats are summed in f32: a sum kept in the output would be
// rounded after each input.
template <class Finish>
void sum_inputs(const KernelContext& k, Finish finish) {
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using C = Compute<T>;
    Tensor& out = k.out(0);
    if (k.inputs() == 1) return map<Types<T>>(k, finish);
    if (k.inputs() == 2) return map2_tensors<T, T, T>(k.in(0), k.in(1), out, [=](C a, C b) { return finish(a + b); });
    T* y = out.write<T>().data();
    run_parallel(out.size(), pointwise_grain, [&, y](std::int64_t begin, std::int64_t end) {
      const Scratch<C> sum(end - begin);
      std::fill_n(sum.data(), end - begin, C{-0.0});  // 0 would turn a sum of negative zeros positive
      for (int input = 0; input < k.inputs(); ++input) {
        const T* x = k.in(input).template read<T>().data();
        const BroadcastLoop<1> loop(out.shape(), {&k.in(input).shape()});
        loop.run(begin, end, [&](std::int64_t i, const auto& offset, std::int64_t n) {
          map2_row(sum.data() + (i - begin), 1, x + offset[0], loop.step(0), sum.data() + (i - begin), n,
                   [](C a, C b) { return a + b; });
        });
      }
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) store(y[i], finish(sum[i - begin]));
    });
  });
}

}  // namespace tessera
