#pragma once
// A policy as JSON, resolved and locked: what `explain --lock` writes.
#include "runtime/policy/policy.h"
#include "tools/json_fwd.h"

namespace tessera {

// The policy with every parameter that has a value spelt out, and the model and methods it is used with now. `path` is
// where it will lie: paths of plugins are relative to that.
Json locked_policy(const Policy& policy, const Graph& loaded, const std::string& path);

// A value as JSON; reals as the shortest decimal that they stand for.
Json attribute_json(const Attribute& value);

}  // namespace tessera
