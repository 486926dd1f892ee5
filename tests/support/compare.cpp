#include "tests/support/compare.h"

#include <cmath>

#include "runtime/tensor/text.h"

namespace tessera {

Rounding tolerance_of(DType t) {
  switch (t) {
    case DType::f64:
      return {1e-9, 1e-9};
    case DType::f16:
      return {4e-3, 4e-3};
    case DType::bf16:
      return {4e-2, 4e-2};
    default:
      return {};
  }
}

testing::AssertionResult close(const Tensor& got, const Tensor& expected, Rounding tolerance) {
  if (got.dtype() != expected.dtype() || got.shape() != expected.shape())
    return testing::AssertionFailure() << "got " << got.dtype() << got.shape() << ", expected " << expected.dtype()
                                       << expected.shape();
  const auto a = doubles(got), b = doubles(expected);
  const bool exact = !dtypes::floats.has(got.dtype());
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double allowed = exact ? 0 : tolerance.absolute + tolerance.relative * std::abs(b[i]);
    if (!(std::abs(a[i] - b[i]) <= allowed))  // written so that NaN fails
      return testing::AssertionFailure() << "element " << i << " is " << a[i] << ", expected " << b[i]
                                         << "\n  got      " << to_text(got) << "\n  expected " << to_text(expected);
  }
  return testing::AssertionSuccess();
}

}  // namespace tessera
