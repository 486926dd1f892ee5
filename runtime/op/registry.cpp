#include "runtime/op/registry.h"

#include "runtime/base/nearest.h"

namespace tessera {

void Registry::add(const OpDef& op) {
  const bool fresh = ops_.emplace(std::pair{op.domain, op.name}, &op).second;
  check(fresh, Code::plugin, "operator '", op.name, "' of domain '", op.domain, "' is registered twice");
}

const OpDef* Registry::find(std::string_view domain, std::string_view name) const {
  if (domain == "ai.onnx") domain = "";
  const auto it = ops_.find({domain, name});
  return it == ops_.end() ? nullptr : it->second;
}

const OpDef& Registry::at(std::string_view qualified) const {
  const auto split = qualified.find("::");
  if (split == std::string_view::npos) return at("", qualified);
  return at(qualified.substr(0, split), qualified.substr(split + 2));
}

const OpDef& Registry::at(std::string_view domain, std::string_view name) const {
  if (const OpDef* op = find(domain, name)) return *op;
  std::vector<std::string> names;
  std::string elsewhere, beside;  // beside: what a domain of a few has instead
  for (const auto& [key, op] : ops_) {
    names.emplace_back(key.second);
    if (!domain.empty() && key.first == domain) beside += concat(beside.empty() ? "" : ", ", key.second);
    if (key.second == name) elsewhere = concat("; domain '", key.first.empty() ? "ai.onnx" : key.first, "' has one");
  }
  Error error(Code::unsupported, concat("no operator '", name, "' in domain '", domain.empty() ? "ai.onnx" : domain,
                                        "'", elsewhere.empty() ? did_you_mean(name, names) : elsewhere));
  if (!beside.empty()) error.hint(concat(domain, " has ", beside));
  std::string loaded;
  for (const auto& d : domains()) loaded += (loaded.empty() ? "" : ", ") + d;
  throw error.hint("domains loaded: " + loaded + "; `tessera ops` lists the operators");
}

std::vector<std::string> Registry::domains() const {
  std::vector<std::string> found;
  for (const auto& [key, op] : ops_) {
    const std::string domain(key.first.empty() ? "ai.onnx" : key.first);
    if (found.empty() || found.back() != domain) found.push_back(domain);
  }
  return found;
}

const Registry& builtin_registry() {
  static const Registry registry = [] {
    Registry r;
    add_builtin_ops(r);
    return r;
  }();
  return registry;
}

}  // namespace tessera
