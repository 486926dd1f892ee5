#pragma once
// The token grid that a policy gives. Private to policy/.
#include "runtime/policy/policy.h"

namespace tessera {

// Tokens along each axis; empty when the policy gives none. Errors: policy, when the model has no such input or axis,
// or the patch does not divide it.
std::vector<std::int64_t> grid_of(const Policy& policy, const Graph& g);

}  // namespace tessera
