#pragma once
// Graph + policy -> Graph: every attention site gets its method, every matrix product its precision, and every decision
// leaves a trail.
#include "runtime/op/registry.h"
#include "runtime/policy/policy.h"
#include "runtime/policy/trail.h"

namespace tessera {

// Where a run stands. Two axes: the step of a loop (denoising), and the step of training.
struct StepPosition {
  int step = 0, steps = 1;
  std::int64_t train_step = -1;  // -1: not training; schedules have reached their end
};

// All that a position means to a policy. Positions of one class share their plans; there are finitely many.
struct StepClass {
  std::vector<char> active;       // per rule, then per linear rule: its `steps` hold
  std::vector<double> scheduled;  // values of schedules, in the order of the file
  bool operator==(const StepClass&) const = default;
};
StepClass step_class(const Policy& policy, const StepPosition& position);

// Everything that can be said without a model: methods exist, parameters are theirs, of their types and in their
// ranges. Errors: policy.
void check_policy(const Policy& policy, const Registry& registry);

// `g` is a graph after stage `sites`, all shapes known. Swaps the operators of its sites and puts casts around what is
// to be computed in bf16. Errors: policy, for a rule that matches nothing, names a layer or head that no site has, is
// hidden by later rules, or whose method refuses a site.
Trail apply_policy(Graph& g, const Policy& policy, const Registry& registry, const StepClass& at);

}  // namespace tessera
