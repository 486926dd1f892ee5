#pragma once
// Shared by ArgMax and ArgMin: where along one axis the extreme element stands.
#include <algorithm>

#include "runtime/base/parts.h"
#include "runtime/op/context.h"

namespace tessera {

inline void arg_shape(ShapeContext& c) {
  const auto axis = static_cast<std::size_t>(c.axis());
  Shape out = c.in(0);
  if (c.attr.flag("keepdims"))
    out[axis] = 1;
  else
    out.erase(out.begin() + axis);
  check(c.in(0)[axis] > 0 || count(out) == 0, "axis ", axis, " of ", c.in(0), " is empty");
  c.out(0, std::move(out));
}

// better(x, best): x beats the best so far. NaN beats all numbers, as in numpy. Ties go to the first, or to the last.
template <class Better>
void arg_reduce(const KernelContext& k, Better better) {
  if (k.out(0).size() == 0) return;
  const Shape& shape = k.in(0).shape();
  const auto axis = static_cast<std::size_t>(k.axis());
  const std::int64_t inner = count(std::span(shape).subspan(axis + 1)), n = shape[axis];
  const bool last = k.attr.flag("select_last_index");
  std::int64_t* index = k.out(0).write<std::int64_t>().data();
  with_type(Numeric{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).template read<T>().data();
    const auto beats = [=](Compute<T> a, Compute<T> best) {
      const bool a_nan = a != a, best_nan = best != best;
      return best_nan ? last && a_nan : a_nan || better(a, best) || (last && a == best);
    };
    // Neighbouring lines are searched side by side, so that memory is read in order.
    const std::int64_t block = std::min<std::int64_t>(inner, 64), blocks = divide_up(inner, block);
    const std::int64_t tasks = k.out(0).size() / inner * blocks;
    const std::int64_t grain = std::max<std::int64_t>(1, 32768 / (n * block));
    run_parallel(tasks, grain, [&](std::int64_t begin, std::int64_t end) {
      Compute<T> best[64];
      std::int64_t at[64];
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t column = task % blocks * block, columns = std::min(block, inner - column);
        const T* lines = x + task / blocks * n * inner + column;
        for (std::int64_t c = 0; c < columns; ++c) {
          best[c] = static_cast<Compute<T>>(lines[c]);
          at[c] = 0;
        }
        for (std::int64_t i = 1; i < n; ++i) {
#pragma omp simd
          for (std::int64_t c = 0; c < columns; ++c) {
            const auto candidate = static_cast<Compute<T>>(lines[i * inner + c]);
            const bool wins = beats(candidate, best[c]);
            best[c] = wins ? candidate : best[c];
            at[c] = wins ? i : at[c];
          }
        }
        std::copy_n(at, columns, index + task / blocks * inner + column);
      }
    });
  });
}

}  // namespace tessera
