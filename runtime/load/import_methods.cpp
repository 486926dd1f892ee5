// Attention methods of the file: there, and the ones the model was saved with.
#include "ops/attention/method.h"
#include "runtime/load/import.h"
#include "runtime/load/load.h"

namespace tessera {
namespace {

constexpr const char* domain = "tessera.attention";

// The methods a node calls: its own, or those that by_head lists, each a name with parameters behind it.
std::vector<std::string> methods_of(const onnx::NodeProto& proto, const OpDef& op) {
  if (op.domain != domain) return {};
  if (op.name != "by_head") return {std::string(op.name)};
  std::vector<std::string> names;
  for (const auto& a : proto.attribute())
    if (a.name() == "methods")
      for (const auto& text : a.strings()) names.push_back(text.substr(0, text.find(' ')));
  return names;
}

}  // namespace

const std::string* Importer::metadata(const std::string& key) const {
  for (const auto& entry : model_.metadata_props())
    if (entry.key() == key) return &entry.value();
  return nullptr;
}

void Importer::check_methods(const Scope& scope, const onnx::NodeProto& proto, const OpDef& op) const {
  for (const auto& name : methods_of(proto, op)) {
    if (!registry_.find(domain, name)) unknown_operator(scope, domain, name);
    const auto* method = find_method(name);
    const std::string* saved = method ? metadata(method_metadata_key(name)) : nullptr;
    if (!saved) continue;
    const std::string version = saved->substr(0, saved->find(';'));
    check(version == concat("version ", method->version), Code::unsupported, "the model was saved with ", version,
          " of attention method '", name, "'; loaded is version ", method->version);
  }
}

}  // namespace tessera
