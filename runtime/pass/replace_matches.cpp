#include "runtime/pass/replace_matches.h"

#include <algorithm>

namespace tessera {
namespace {

// The nodes that an attempt had read when it failed, and those at most `reach` above where it did.
std::vector<NodeId> seen(const Graph& g, const Furthest& f, int reach) {
  std::vector<NodeId> nodes = f.read;
  std::vector<ValueId> values;
  if (f.at != ValueId::none)
    values.push_back(f.at);
  else if (!f.read.empty())
    values.assign(g.at(f.read.back()).in.begin(), g.at(f.read.back()).in.end());
  for (; reach > 0 && !values.empty(); --reach) {
    std::vector<ValueId> above;
    for (const ValueId v : values) {
      const NodeId n = v == ValueId::none ? NodeId::none : g.at(v).producer;
      if (n == NodeId::none) continue;
      nodes.push_back(n);
      above.insert(above.end(), g.at(n).in.begin(), g.at(n).in.end());
    }
    values = std::move(above);
  }
  return nodes;
}

}  // namespace

std::vector<Miss> near_misses(const Graph& g, const std::vector<Attempt>& attempts,
                              std::initializer_list<std::string_view> marks, int reach) {
  struct Best {
    NodeId node;
    std::size_t read = 0;
    std::string reason;
  };
  std::map<NodeId, Best> best;  // by the marking node
  for (const Attempt& a : attempts) {
    const std::string reason = to_text(g, a.furthest);
    for (const NodeId n : seen(g, a.furthest, reach)) {
      if (std::find(marks.begin(), marks.end(), g.at(n).op->name) == marks.end()) continue;
      Best& known = best[n];
      const std::size_t read = a.furthest.read.size();
      if (known.reason != reason && known.read < read) known = {a.node, read, reason};
      known.read = std::max(known.read, read);  // from further down, the same is missing: the node stays
    }
  }
  std::map<NodeId, std::string> by_node;  // an attempt may have read several marks
  for (const auto& [mark, b] : best) by_node[b.node] = b.reason;
  std::vector<Miss> misses;
  for (const auto& [n, reason] : by_node) misses.push_back({g.at(n).name, reason});
  return misses;
}

}  // namespace tessera
