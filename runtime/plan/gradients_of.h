#pragma once
// From a loaded model to the graph that computes gradients, ready for make_plan.
#include "runtime/plan/specialise.h"
#include "runtime/train/differentiate.h"

namespace tessera {

// Binds shapes, folds constants except those in `wrt`, applies the policy, differentiates, and simplifies the joint
// graph. `wrt` may name inputs, weights and intermediate values of the file; see differentiate for them, the outputs
// and the errors. Weights stay constants of the graph; the only input that may be added is the seed. A policy sees the
// attention sites of a run; unsupported where `output` or one of `wrt` lies inside of one.
Gradients gradients_of(Graph loaded, const Binding& binding, const std::string& output,
                       const std::vector<std::string>& wrt, const Registry& registry, const PassOptions& options = {},
                       const PolicyUse& policy = {});

}  // namespace tessera
