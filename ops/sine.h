#pragma once
// The kernel of Sin and Cos: sin(x + quarter * pi / 2), elementwise.
#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {

// f32 is computed in vectors, unless an angle of the block is too large for them (or is no number): then one by one,
// the others by the same formula, so that nobody's bits depend on its neighbours.
template <int quarter, class T>
void sine_values(const T* x, T* y, std::int64_t n) {
  if constexpr (!std::is_same_v<T, double>) {
    bool small = true;
#pragma omp simd reduction(&& : small)
    for (std::int64_t i = 0; i < n; ++i)
      small = small && std::abs(static_cast<float>(x[i])) <= vector_math::largest_angle;
    if (small) {
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) store(y[i], vector_math::sin_quarter(static_cast<float>(x[i]), quarter));
      return;
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const auto angle = static_cast<Compute<T>>(x[i]);
    if constexpr (!std::is_same_v<T, double>) {
      if (std::abs(angle) <= vector_math::largest_angle) {
        store(y[i], vector_math::sin_quarter(angle, quarter));
        continue;
      }
    }
    store(y[i], quarter == 0 ? std::sin(angle) : std::cos(angle));
  }
}

template <int quarter>
void sine_kernel(const KernelContext& k) {
  static_assert(quarter == 0 || quarter == 1);
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).template read<T>().data();
    T* y = k.out(0).template write<T>().data();
    run_parallel(k.in(0).size(), 4096, [=](std::int64_t begin, std::int64_t end) {
      sine_values<quarter>(x + begin, y + begin, end - begin);
    });
  });
}

}  // namespace tessera
