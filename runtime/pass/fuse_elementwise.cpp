#include <algorithm>

#include "ops/pointwise_steps.h"
#include "runtime/graph/match.h"
#include "runtime/pass/passes.h"

namespace tessera {
namespace {

constexpr std::size_t most_steps = 16;
// Smaller tensors stay in cache between nodes anyway, and a node of the plan costs less than setting up tiles.
constexpr std::int64_t least_elements = 8192;

class Chains {
 public:
  explicit Chains(const Graph& g) : g_(g), uses_(g), taken_(g.nodes.size()) {}

  // The nodes, in order, that can run as one with `root` as the last: those that nobody else reads.
  std::vector<NodeId> ending_in(NodeId root) {
    if (taken_[index(root)] || !fits(g_.at(root))) return {};
    std::vector<NodeId> chain{root};
    for (bool grew = true; grew && chain.size() < most_steps;) {
      grew = false;
      for (std::size_t i = 0; i < chain.size() && chain.size() < most_steps; ++i)
        for (const ValueId v : g_.at(chain[i]).in)
          if (chain.size() < most_steps && joins(v, root, chain)) chain.push_back(g_.at(v).producer), grew = true;
    }
    std::sort(chain.begin(), chain.end());
    if (chain.size() < 2) return {};
    for (const auto n : chain) taken_[index(n)] = 1;
    return chain;
  }

  // Why a node of this size is left alone, for a node that is pointwise.
  std::string reason(NodeId n) const {
    const Node& node = g_.at(n);
    if (!node.op->pointwise || !large(node)) return {};
    for (const ValueId v : node.in) {
      if (v == ValueId::none || g_.at(v).producer == NodeId::none) continue;
      const Node& before = g_.at(g_.at(v).producer);
      if (!before.op->pointwise || !large(before) || g_.at(v).shape != g_.at(node.out[0]).shape) continue;
      if (uses_.count(v) > 1) return concat("'", g_.at(v).name, "' before it is also read by others");
    }
    return {};
  }

 private:
  bool large(const Node& n) const {
    const auto known = [&](ValueId v) { return v == ValueId::none || g_.at(v).shape; };
    return n.out.size() == 1 && std::all_of(n.in.begin(), n.in.end(), known) && known(n.out[0]) &&
           count(*g_.at(n.out[0]).shape) >= least_elements;
  }

  bool fits(const Node& n) const {
    if (!can_be_step(*n.op, n.attributes) || n.in.empty() || n.in.size() > 3 || !large(n)) return false;
    // Pow takes another way when its exponent is one number.
    if (n.op->name == "Pow" && !(g_.is_constant(n.in[1]) && g_.at(n.in[1]).constant.size() == 1)) return false;
    Shape common;
    for (const ValueId v : n.in)
      if (v != ValueId::none) common = broadcast(common, *g_.at(v).shape);
    return common == *g_.at(n.out[0]).shape;
  }

  bool joins(ValueId v, NodeId root, const std::vector<NodeId>& chain) const {
    const auto inside = [&](NodeId n) { return std::find(chain.begin(), chain.end(), n) != chain.end(); };
    if (v == ValueId::none) return false;
    const NodeId n = g_.at(v).producer;
    if (n == NodeId::none || inside(n) || taken_[index(n)] || uses_.as_output[index(v)] > 0) return false;
    const auto& readers = uses_.of[index(v)];
    return fits(g_.at(n)) && g_.at(v).shape == g_.at(g_.at(root).out[0]).shape &&
           std::all_of(readers.begin(), readers.end(), inside);
  }

  const Graph& g_;
  const Uses uses_;
  std::vector<char> taken_;
};

// The values that the chain reads from outside, those as large as the result first: it may be written over them.
std::vector<ValueId> operands(const Graph& g, const std::vector<NodeId>& chain) {
  std::vector<ValueId> all;
  for (const auto n : chain)
    for (const ValueId v : g.at(n).in) {
      const bool inside = v != ValueId::none && std::find(chain.begin(), chain.end(), g.at(v).producer) != chain.end();
      if (v != ValueId::none && !inside && std::find(all.begin(), all.end(), v) == all.end()) all.push_back(v);
    }
  const auto& full = g.at(g.at(chain.back()).out[0]).shape;
  std::stable_partition(all.begin(), all.end(), [&](ValueId v) { return g.at(v).shape == full; });
  return all;
}

void write(Graph& g, Edit& edit, const std::vector<NodeId>& chain) {
  auto slots = operands(g, chain);
  const auto inputs = slots;
  std::vector<std::string> texts;
  for (const auto n : chain) {
    PointwiseStep step{g.at(n).op, g.at(n).attributes, {}};
    for (const ValueId v : g.at(n).in)
      step.in.push_back(
          v == ValueId::none ? -1 : static_cast<int>(std::find(slots.begin(), slots.end(), v) - slots.begin()));
    texts.push_back(to_text(step, static_cast<int>(inputs.size())));
    slots.push_back(g.at(n).out[0]);
  }
  edit.before(chain.back());
  edit.replace(g.at(chain.back()).out[0], edit.node("tessera::Fused", inputs, {{"steps", std::move(texts)}}));
  for (const auto n : chain) edit.erase(n);
}

int fuse_elementwise(Graph& g, const Registry& registry) {
  Chains chains(g);
  Edit edit(g, registry);
  int fused = 0;
  for (std::size_t n = g.nodes.size(); n-- > 0;)
    if (const auto chain = chains.ending_in(static_cast<NodeId>(n)); !chain.empty()) {
      write(g, edit, chain);
      ++fused;
    }
  edit.commit();
  return fused;
}

std::vector<Miss> near_chains(const Graph& g) {
  const Chains chains(g);
  std::vector<Miss> misses;
  for (std::size_t n = 0; n < g.nodes.size(); ++n)
    if (auto reason = chains.reason(static_cast<NodeId>(n)); !reason.empty())
      misses.push_back({g.nodes[n].name, std::move(reason)});
  return misses;
}

}  // namespace

const PassDef fuse_elementwise_pass{
    .name = "fuse_elementwise",
    .doc =
        "Runs chains and trees of pointwise operators over large tensors tile by tile, as one tessera::Fused: what "
        "lies between them stays in cache. Results keep their bits.",
    .source = "Boncz et al., CIDR 2005 (vectors in cache)",
    .run = fuse_elementwise,
    .examples = {{"x: f32[64x128], y: f32[128]", "Mul(Exp(x), y)",
                  "tessera::Fused(x, y, steps=[\"Exp(x0)\", \"Mul(s0, x1)\"])"}},
    .near_misses = near_chains,
};

}  // namespace tessera
