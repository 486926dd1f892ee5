#include "ops/convert.h"

#include "ops/fill.h"

namespace tessera {

void convert_elements(const Tensor& from, Tensor& to) {
  if (from.dtype() == to.dtype()) return copy_elements(from, to);
  with_type(AllTypes{}, from.dtype(), [&]<class From>(Type<From>) {
    with_type(AllTypes{}, to.dtype(), [&]<class To>(Type<To>) {
      const From* x = from.read<From>().data();
      To* y = to.write<To>().data();
      run_parallel(from.size(), pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) y[i] = convert<To>(x[i]);
      });
    });
  });
}

}  // namespace tessera
