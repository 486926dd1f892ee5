#pragma once
// The sweep that passes share which replace a pattern by one node.
//
//   find(graph, uses, node, reason) -> std::optional<M>   the pattern that ends in (or grows from) a node; where it is
//                                                         there but cannot be replaced, nothing and the reason
//   M: NodeId last; ValueId result; std::vector<NodeId> nodes   `last` computes `result`; `nodes` are to go
//   write(edit, const M&) -> ValueId                      writes what stands for `result`
#include "runtime/graph/match.h"
#include "runtime/pass/passes.h"

namespace tessera {

// True when there was one.
template <class Find, class Write>
bool replace_matches(Graph& g, const Registry& registry, Find find, Write write) {
  const Uses uses(g);
  Edit edit(g, registry);
  const std::size_t nodes = g.nodes.size();
  for (std::size_t n = 0; n < nodes; ++n) {
    std::string reason;
    const auto match = find(g, uses, static_cast<NodeId>(n), reason);
    if (!match) continue;
    edit.before(match->last);
    edit.replace(match->result, write(edit, *match));
    for (const auto node : match->nodes) edit.erase(node);
  }
  const bool changed = edit.changed();
  edit.commit();
  return changed;
}

template <class Find>
std::vector<Miss> near_misses(const Graph& g, Find find) {
  const Uses uses(g);
  std::vector<Miss> misses;
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    std::string reason;
    if (!find(g, uses, static_cast<NodeId>(n), reason) && !reason.empty()) misses.push_back({g.nodes[n].name, reason});
  }
  return misses;
}

}  // namespace tessera
