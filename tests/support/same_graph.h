#pragma once
// Comparing graphs by what they say, not by the numbers of their values.
#include <string>

#include "runtime/graph/graph.h"

namespace tessera {

// "" when both have the same inputs, outputs, nodes in the same order, names, attributes, constants that are used,
// scopes and metadata; else the first difference.
std::string difference(const Graph& a, const Graph& b);

}  // namespace tessera
