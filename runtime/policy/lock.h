#pragma once
// Locks: a policy that insists on the model and the methods it was made with.
#include "runtime/op/registry.h"
#include "runtime/policy/policy.h"

namespace tessera {

// 16 hexadecimal digits over operators, attributes, names of nodes, topology, types and shapes of inputs and constants,
// and the values of small i64 and i32 constants (shapes, axes): equal for models that differ in their weights only. `g`
// is as loaded.
std::string structural_hash(const Graph& g);

// Errors: policy, with what has changed since the lock was made. A policy without a lock passes.
void check_lock(const Policy& policy, const Graph& loaded, const Registry& registry);

}  // namespace tessera
