#pragma once
// The names of one graph's nodes, each taken once. Private to load/.
#include <string>
#include <unordered_map>
#include <utility>

#include "runtime/base/error.h"

namespace tessera {

// Names that a file gives stay with the nodes that bear them: made-up ones avoid them.
class NodeNames {
 public:
  // A name that the file gives, before any node takes one.
  void reserve(std::string name) { names_.try_emplace(std::move(name)); }
  // For a node that bears `name`: that, or for later namesakes "name.1", "name.2", ...
  std::string take(const std::string& name) {
    ++nodes_;
    Use& use = names_[name];
    return std::exchange(use.taken, true) ? beside(name, use) : name;
  }
  // For a node without a name, of the call or body at `path`: "Add_7", by its number among all nodes.
  std::string make(const std::string& path, const std::string& op) {
    const std::string name = concat(path, op, "_", nodes_++);
    const auto [known, fresh] = names_.try_emplace(name, Use{.taken = true});
    return fresh ? name : beside(name, known->second);
  }

 private:
  struct Use {
    bool taken = false;
    std::size_t last = 0;  // the number that the last namesake got
  };
  std::string beside(const std::string& name, Use& use) {  // growing, the map leaves `use` where it is
    for (;;)
      if (auto other = concat(name, ".", ++use.last); names_.try_emplace(other, Use{.taken = true}).second)
        return other;
  }

  std::unordered_map<std::string, Use> names_;
  std::size_t nodes_ = 0;
};

}  // namespace tessera
