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

// The metadata entry that says which plugin brings an operator of the model: "tessera.plugin:com.example::Swish", with
// the plugin's name and version as value. A model whose operator is unknown is refused with this name.
inline std::string plugin_metadata_key(std::string_view domain, std::string_view op) {
  return concat("tessera.plugin:", domain, "::", op);
}

// And what an attention method was when the model was saved: "tessera.method:vsa", with a value that begins "version
// 1". A model is refused when the method loaded has another version.
inline std::string method_metadata_key(std::string_view method) { return concat("tessera.method:", method); }

}  // namespace tessera
