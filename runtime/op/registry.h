#pragma once
// The set of operators a session may use. A value: make one, add to it, pass it on. The tables are borrowed and outlive
// it. Thread rule: const use is free; add before sharing.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/op/op.h"

namespace tessera {

class Registry {
 public:
  void add(const OpDef& op);                                                // Error(plugin) when the name is taken
  const OpDef* find(std::string_view domain, std::string_view name) const;  // null when absent
  // "Add" or "com.microsoft::Gelu". Error(unsupported) with the domains loaded and the nearest names.
  const OpDef& at(std::string_view qualified) const;
  const OpDef& at(std::string_view domain, std::string_view name) const;
  std::vector<std::string> domains() const;

  auto begin() const { return ops_.begin(); }  // of (domain, name) -> OpDef*, sorted
  auto end() const { return ops_.end(); }
  std::size_t size() const { return ops_.size(); }

 private:
  std::map<std::pair<std::string_view, std::string_view>, const OpDef*> ops_;
};

void add_builtin_ops(Registry&);     // generated from the file names under ops/
const Registry& builtin_registry();  // all of them, made once

}  // namespace tessera
