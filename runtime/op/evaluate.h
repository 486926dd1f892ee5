#pragma once
// Runs one operator on tensors: for constant folding, for nodes whose shapes are known only during the run, and for
// tests.
#include "runtime/op/context.h"

namespace tessera {

// Outputs of `op`. Absent inputs are null. Types and shapes are inferred and checked first. Memory is fresh, except
// where the operator is a view: its output shares input 0's elements.
std::vector<Tensor> evaluate(const OpDef& op, const Attributes& attributes, std::span<const Tensor* const> in,
                             int outputs, SubgraphRunner* runner = nullptr);

}  // namespace tessera
