#pragma once
// Whether a tensor is what it should be, by the rule of `verify`.
#include <optional>
#include <string>

#include "runtime/tensor/tensor.h"

namespace tessera {

struct Tolerance {
  double rtol = 1e-3, atol = 1e-7;
  std::optional<double> rel_max;
};

struct Comparison {
  std::string problem;              // empty: equal within tolerance
  double max_abs = 0, max_rel = 0;  // of finite differences; relative to |expected|
  std::int64_t differing = 0;       // elements out of tolerance
  bool ok() const { return problem.empty(); }
};

// Type and shape must agree; integers and bools exactly. A float passes when |a - b| <= atol + rtol |b|, or, with
// rel_max, when |a - b| <= rel_max times the largest finite |b|. NaN equals NaN; infinities must match.
Comparison compare(const Tensor& actual, const Tensor& expected, const Tolerance& tolerance);

}  // namespace tessera
