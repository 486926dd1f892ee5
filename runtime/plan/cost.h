#pragma once
// What a node costs: floating-point operations by its rule, and an estimate of time on one core.
#include <span>

#include "runtime/op/context.h"

namespace tessera {

// Below this a step is not worth a task of its own: the thread that makes it ready runs it at once.
inline constexpr double tiny_step_ns = 3000;

struct Cost {
  double flops = 0;
  double bytes = 0;        // read and written, each tensor once
  double nanoseconds = 0;  // on one core; right within a factor of a few, for deciding where to run a step
};

// `values[i]` is null when not constant. Absent tensors have DType::undefined.
Cost estimate_cost(const OpDef& op, const Attributes& attributes, std::span<const TensorType> in,
                   std::span<const Tensor* const> values, std::span<const TensorType> out);

}  // namespace tessera
