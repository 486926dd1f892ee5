#include "runtime/pass/activation.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr std::size_t most_nodes_up = 4;

bool is_arithmetic(const Node& n) {
  const auto& op = n.op->name;
  return n.op->domain.empty() &&
         (op == "Add" || op == "Sub" || op == "Mul" || op == "Div" || op == "Neg" || op == "Pow");
}

// v and what it is made of by a few nodes of arithmetic, nearest first.
std::vector<ValueId> ingredients(const Graph& g, ValueId v) {
  std::vector<ValueId> all{v};
  for (std::size_t up = 0, from = 0; up < most_nodes_up; ++up)
    for (const std::size_t end = all.size(); from < end; ++from) {
      const NodeId n = g.at(all[from]).producer;
      if (n == NodeId::none || !is_arithmetic(g.at(n))) continue;
      for (const ValueId in : g.at(n).in)
        if (!g.is_constant(in) && std::find(all.begin(), all.end(), in) == all.end()) all.push_back(in);
    }
  return all;
}

}  // namespace

std::optional<Activation> activation(const Graph& g, const Uses& uses, NodeId n, std::string_view op,
                                     Furthest* furthest, const std::function<bool(const Activation&, Match&)>& is) {
  const Node& root = g.at(n);
  if (!is_arithmetic(root)) return std::nullopt;
  for (const ValueId f : ingredients(g, root.out[0])) {
    const NodeId by = g.at(f).producer;
    if (by == NodeId::none || g.at(by).op->name != op || !g.at(by).op->domain.empty()) continue;
    Match both(g, uses, furthest);
    both.add(n);
    both.add(by);
    bool made_of_one = false;
    for (const ValueId x : ingredients(g, g.at(by).in[0])) {
      Match m = both;
      const auto argument = polynomial(g, m, g.at(by).in[0], {x});
      const auto y = argument ? polynomial(g, m, root.out[0], {x, f}) : std::nullopt;
      if (!y) continue;
      made_of_one = true;
      const auto has_x = [](const Term& t) { return t.power[0] > 0; };
      if (std::none_of(y->begin(), y->end(), has_x)) continue;  // goes on, as 1 + f does
      Activation a{n, x, root.out[0], *y, *argument, {}};
      if (!is(a, m) || !m.wants(is_shaped_like(g, a.result, x), "its constants are larger than '", g.at(x).name, "'") ||
          !m.wants_no_other_readers(a.result))
        continue;
      a.nodes = m.nodes();
      return a;
    }
    both.wants(made_of_one, "it and the argument of '", g.at(by).name, "' are not made of one value");
  }
  return std::nullopt;
}

}  // namespace tessera
