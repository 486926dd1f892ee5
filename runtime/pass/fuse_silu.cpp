#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

struct Silu {
  NodeId last;
  ValueId x, result;
  double alpha = 1;
  std::vector<NodeId> nodes;
};

// x * Sigmoid(x) or x * Sigmoid(alpha x), in either order.
std::optional<Silu> silu(const Graph& g, const Uses& uses, NodeId n, std::string& reason) {
  const Node& root = g.at(n);
  if (root.op->name != "Mul" || !root.op->domain.empty()) return std::nullopt;
  for (const std::size_t i : {0, 1}) {
    Match m(g, uses);
    m.add(n);
    Silu c{.last = n, .x = root.in[1 - i], .result = root.out[0], .nodes = {}};
    const Node* sigmoid = m.by(root.in[i], "Sigmoid");
    if (!sigmoid) continue;
    if (sigmoid->in[0] != c.x) {
      const auto product = m.with_constant(sigmoid->in[0], "Mul");
      if (!product || product->other != c.x) continue;
      c.alpha = product->value;
    }
    if (g.at(c.x).shape != g.at(root.out[0]).shape) continue;
    if (const auto v = m.read_outside(root.out[0])) {
      reason = concat("'", g.at(*v).name, "' inside of it is also read by others");
      continue;
    }
    c.nodes = m.nodes();
    return c;
  }
  return std::nullopt;
}

ValueId write(Edit& edit, const Silu& c) { return edit.node("Swish", {c.x}, {{"alpha", static_cast<float>(c.alpha)}}); }

}  // namespace

const PassDef fuse_silu_pass{
    .name = "fuse_silu",
    .doc = "Makes one Swish of x Sigmoid(x) and of x Sigmoid(alpha x), the fast form of GELU among them.",
    .source = "Elfwing et al. 2018, arXiv:1702.03118; Ramachandran et al. 2017, arXiv:1710.05941",
    .run = [](Graph& g, const Registry& registry) { return replace_matches(g, registry, silu, write); },
    .near_misses = [](const Graph& g) { return near_misses(g, silu); },
};

}  // namespace tessera
