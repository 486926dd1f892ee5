#pragma once
// bytes -> Graph. No protobuf is visible here.
#include <string>

#include "runtime/graph/graph.h"
#include "runtime/op/registry.h"

namespace tessera {

// Reads a model: binary protobuf, or text when the name ends in ".textproto" or ".pbtxt". Afterwards every operator is
// known and in its newest form, functions are inlined, every value has an element type, nodes stand in topological
// order, and weights alias the mapped file or its external data. Errors carry the file, node and operator: bad_input
// for a malformed model or data file; unsupported for an unknown operator, version or element type.
Graph load(const std::string& path, const Registry& registry);

}  // namespace tessera
