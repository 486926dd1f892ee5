#include "runtime/pass/passes.h"

namespace tessera {
namespace {

// One backward sweep: a node is needed when a graph output or a needed node reads one of its outputs. Optional outputs
// that nobody reads are no longer asked for.
int remove_dead(Graph& g, const Registry&) {
  std::vector<char> read(g.values.size());
  for (const auto& o : g.outputs) read[index(o.value)] = 1;
  std::vector<char> needed(g.nodes.size());
  int removed = 0;
  for (std::size_t n = g.nodes.size(); n-- > 0;) {
    Node& node = g.nodes[n];
    for (const auto v : node.out) needed[n] |= v != ValueId::none && read[index(v)];
    removed += !needed[n];
    if (!needed[n]) continue;
    for (const auto v : node.in)
      if (v != ValueId::none) read[index(v)] = 1;
    for (std::size_t i = 0; i < std::min(node.out.size(), node.op->outputs.size()); ++i) {
      auto& v = node.out[i];
      if (v == ValueId::none || read[index(v)] || node.op->outputs[i].presence != Presence::optional) continue;
      v = ValueId::none;
      ++removed;
    }
  }
  if (removed == 0) return 0;
  std::size_t n = 0;
  std::erase_if(g.nodes, [&](const Node&) { return !needed[n++]; });
  compact(g);
  return removed;
}

}  // namespace

const PassDef remove_dead_pass{
    .name = "remove_dead",
    .doc = "Removes nodes whose results nobody reads, and stops asking for optional outputs that nobody reads.",
    .source = "dead code elimination, mark and sweep",
    .run = remove_dead,
    .examples = {{"x: f32[2x8]", "unread = Exp(x); Relu(x)", "Relu(x)"},
                 {"x: f32[2x8]", "y, mask = Dropout(x); Relu(y)", "Relu(Dropout(x))"}},
};

}  // namespace tessera
