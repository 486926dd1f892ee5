#pragma once
// Where the exporter says a node comes from. Private to load/.
#include <string>

#include "tessera/onnx.pb.h"

namespace tessera {

// Key under which `save` writes Node::scope.
inline constexpr const char* module_path_key = "tessera.scope";

// The module path, as "blocks.0.attn": from the node's metadata (ours, or pkg.torch.onnx.name_scopes or namespace of
// PyTorch's exporters), else from its name ("/blocks.0/attn/Softmax_1"), below `call`, the path of the enclosing
// function call. Empty when nobody says.
std::string module_path(const onnx::NodeProto& node, const std::string& call, const std::string& name);

}  // namespace tessera
