#pragma once
// Rounds the operands of nodes to bf16: casts before and after. Private to policy/.
#include "runtime/graph/edit.h"
#include "runtime/policy/apply.h"

namespace tessera {

// Writes `n` anew with the inputs of its first input's type in bf16, and its outputs cast back, under their names.
void compute_in_bf16(Graph& g, Edit& edit, NodeId n);

// The rules for matrix products. Errors: policy, for a rule that matches none or never wins.
std::vector<LinearTrail> apply_linear(Graph& g, Edit& edit, const Policy& policy, const StepClass& at);

}  // namespace tessera
