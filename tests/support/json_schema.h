#pragma once
// As much of JSON Schema (draft 2020-12) as the project's own schemas use: type, const, enum, minimum, required,
// properties, additionalProperties (false, or a schema), items, minItems, pattern, anyOf, $ref to #/$defs.
#include <string>

#include "tools/json.h"

namespace tessera {

// The first place where `value` breaks `schema`, as "/results/0/gflops: is no number"; empty when it does not.
std::string schema_problem(const Json& value, const Json& schema);

}  // namespace tessera
