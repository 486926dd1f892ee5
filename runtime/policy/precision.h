#pragma once
// Rounds the operands of nodes to bf16: casts before and after. Private to policy/.
#include "runtime/graph/edit.h"
#include "runtime/policy/apply.h"

namespace tessera {

// Writes `n` anew with the inputs of its first input's type in bf16, and its outputs cast back.
void compute_in_bf16(const Graph& g, Edit& edit, NodeId n);

// The rules for matrix products. Errors: policy, for a rule that matches none.
std::vector<LinearTrail> apply_linear(const Graph& g, Edit& edit, const Policy& policy, const StepClass& at);

}  // namespace tessera
