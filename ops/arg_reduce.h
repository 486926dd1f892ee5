#pragma once
// Shared by ArgMax and ArgMin: where along one axis the extreme element stands.
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
  const Shape& shape = k.in(0).shape();
  const auto axis = static_cast<std::size_t>(k.axis());
  const std::int64_t inner = count(std::span(shape).subspan(axis + 1)), n = shape[axis];
  const bool last = k.attr.flag("select_last_index");
  const auto index = k.out(0).write<std::int64_t>();
  with_type(Numeric{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).template read<T>().data();
    const auto beats = [=](Compute<T> a, Compute<T> best) {
      if (best != best) return last && a != a;
      return a != a || better(a, best) || (last && a == best);
    };
    const std::int64_t grain = std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(n, 1));
    run_parallel(k.out(0).size(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) {
        const T* line = x + o / inner * n * inner + o % inner;
        auto best = static_cast<Compute<T>>(line[0]);
        std::int64_t at = 0;
        for (std::int64_t i = 1; i < n; ++i) {
          const auto candidate = static_cast<Compute<T>>(line[i * inner]);
          if (!beats(candidate, best)) continue;
          best = candidate;
          at = i;
        }
        index[static_cast<std::size_t>(o)] = at;
      }
    });
  });
}

}  // namespace tessera
