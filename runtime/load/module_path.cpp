#include "runtime/load/module_path.h"

#include <algorithm>
#include <vector>

namespace tessera {
namespace {

// "/blocks.0/attn/Softmax" -> "blocks.0.attn".
std::string from_name(const std::string& name) {
  const auto last = name.rfind('/');
  if (last == std::string::npos) return {};
  std::string path = name.substr(0, last);
  path.erase(0, path.find_first_not_of('/'));
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

// "['', 'blocks', 'blocks.0', 'linear_3']": full paths from the root inwards; the last is the traced call itself.
std::string from_name_scopes(const std::string& list) {
  std::vector<std::string> paths;
  for (std::size_t at = 0; (at = list.find_first_of("'\"", at)) != std::string::npos;) {
    const auto end = list.find(list[at], at + 1);
    if (end == std::string::npos) break;
    paths.push_back(list.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return paths.size() < 2 ? std::string{} : paths[paths.size() - 2];
}

// ": Model/blocks.0: Block/linear_3: aten.linear.default": the same as "path: class" joined by '/'.
std::string from_namespace(const std::string& text) {
  const auto last = text.rfind('/');
  if (last == std::string::npos) return {};
  auto first = text.rfind('/', last - 1);
  first = last == 0 || first == std::string::npos ? 0 : first + 1;
  const std::string entry = text.substr(first, last - first);
  return entry.substr(0, entry.find(':'));
}

std::string own_path(const onnx::NodeProto& node, const std::string& name) {
  for (const auto& entry : node.metadata_props())
    if (entry.key() == module_path_key) return entry.value();
  for (const auto& entry : node.metadata_props())
    if (entry.key() == "pkg.torch.onnx.name_scopes") return from_name_scopes(entry.value());
  for (const auto& entry : node.metadata_props())
    if (entry.key() == "namespace") return from_namespace(entry.value());
  return from_name(name);
}

}  // namespace

std::string module_path(const onnx::NodeProto& node, const std::string& call, const std::string& name) {
  const std::string own = own_path(node, name);
  if (own.empty() || call.empty()) return call + own;
  return own.starts_with(call) ? own : call + "." + own;
}

}  // namespace tessera
