#pragma once
// The sweep that passes share which replace a pattern by one node.
//
//   find(graph, uses, node, furthest) -> std::optional<M>   the pattern that ends in (or grows from) a node whose first
//                                                           output is there
//   M: NodeId last; ValueId result; std::vector<NodeId> nodes   `last` computes `result`; `nodes` are to go
//   write(edit, const M&) -> ValueId                            writes what stands for `result`
#include "runtime/graph/match.h"
#include "runtime/pass/passes.h"

namespace tessera {

inline bool has_result(const Node& n) { return !n.out.empty() && n.out[0] != ValueId::none; }

// How many there were.
template <class Find, class Write>
int replace_matches(Graph& g, const Registry& registry, Find find, Write write) {
  const Uses uses(g);
  Edit edit(g, registry);
  const std::size_t nodes = g.nodes.size();
  int replaced = 0;
  for (std::size_t n = 0; n < nodes; ++n) {
    if (!has_result(g.nodes[n])) continue;
    const auto match = find(g, uses, static_cast<NodeId>(n), nullptr);
    if (!match) continue;
    edit.before(match->last);
    edit.replace(match->result, write(edit, *match));
    for (const auto node : match->nodes) edit.erase(node);
    ++replaced;
  }
  edit.commit();
  return replaced;
}

// A node from which reading failed, and how.
struct Attempt {
  NodeId node;
  Furthest furthest;
};
// What nearly matched: attempts that had read a node of one of the operators `marks`, by which the pattern is known, or
// came within `reach` nodes of one. Of the attempts on one such node, the furthest.
std::vector<Miss> near_misses(const Graph& g, const std::vector<Attempt>& attempts,
                              std::initializer_list<std::string_view> marks, int reach = 0);

template <class Find>
std::vector<Miss> near_misses(const Graph& g, Find find, std::initializer_list<std::string_view> marks, int reach = 0) {
  const Uses uses(g);
  std::vector<Attempt> attempts;
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    if (!has_result(g.nodes[n])) continue;
    Attempt a{static_cast<NodeId>(n), {}};
    if (!find(g, uses, a.node, &a.furthest)) attempts.push_back(std::move(a));
  }
  return near_misses(g, attempts, marks, reach);
}

}  // namespace tessera
