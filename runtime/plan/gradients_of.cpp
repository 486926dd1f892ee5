#include "runtime/plan/gradients_of.h"

#include <algorithm>
#include <utility>

#include "runtime/pass/passes.h"

namespace tessera {
namespace {

// Values apart from what reads them, while passes rewrite the graph: an input stands for each, and what computes it is
// an output. So no pass drops one, merges it with another, or takes it into a node.
class HeldValues {
 public:
  HeldValues(Graph& g, const Registry& registry, const std::vector<std::string>& names) {
    GraphBuilder build(g, registry);
    for (const auto& name : names)
      for (std::size_t v = 0; v < g.values.size(); ++v)
        if (g.values[v].name == name) hold(build, static_cast<ValueId>(v));
  }

  void release(Graph& g, const Registry& registry) const {
    for (const auto& held : held_) {
      const auto input = std::find_if(g.inputs.begin(), g.inputs.end(),
                                      [&](const GraphInput& i) { return g.at(i.value).name == held.name; });
      const ValueId v = input->value;
      g.inputs.erase(input);
      if (held.constant) {
        g.at(v).constant = held.constant;
        continue;
      }
      const auto output = std::find_if(g.outputs.begin(), g.outputs.end(),
                                       [&](const GraphOutput& o) { return o.name == held.computed; });
      const ValueId by = output->value;
      g.outputs.erase(output);
      // A node of its own: what computes the value may by now compute another one too.
      const NodeId producer = g.at(by).producer;
      const Node identity{held.name, &registry.at("Identity"), {}, {by}, {v}, {}};
      g.nodes.insert(g.nodes.begin() + (producer == NodeId::none ? 0 : static_cast<std::ptrdiff_t>(producer) + 1),
                     identity);
      compact(g);
    }
  }

 private:
  struct Held {
    std::string name, computed;
    Tensor constant;  // none: `computed` is the output
  };

  // Left to itself: an input, which is apart already, and what differentiating refuses.
  void hold(GraphBuilder& build, ValueId v) {
    Graph& g = build.graph;
    const NodeId producer = g.at(v).producer;
    if (!g.at(v).shape || !dtypes::floats.has(g.at(v).dtype)) return;
    if (producer == NodeId::none && !g.is_constant(v)) return;
    Held held{g.at(v).name, {}, std::exchange(g.at(v).constant, {})};
    SymbolicShape declared;
    for (const auto d : *g.at(v).shape) declared.push_back({d, {}});
    g.inputs.push_back({v, std::move(declared)});
    if (producer != NodeId::none) {
      held.computed = build.unique(held.name);
      const auto computed = static_cast<ValueId>(g.values.size());
      g.values.push_back({held.computed, g.at(v).dtype, g.at(v).shape, {}, producer});
      std::replace(g.at(producer).out.begin(), g.at(producer).out.end(), v, computed);
      g.at(v).producer = NodeId::none;
      g.outputs.push_back({held.computed, computed});
    }
    held_.push_back(std::move(held));
  }

  std::vector<Held> held_;
};

bool is_same(const AttentionSite& a, const AttentionSite& b) {
  return a.name == b.name && a.role == b.role && a.layer == b.layer && a.q_heads == b.q_heads;
}

// Rules go by the list of sites: it has to be the one of a run.
void check_sites(const std::vector<AttentionSite>& own, const std::vector<AttentionSite>& of_run) {
  const auto [mine, there] = std::mismatch(own.begin(), own.end(), of_run.begin(), of_run.end(), is_same);
  if (mine == own.end() && there == of_run.end()) return;
  const std::string& name = there != of_run.end() ? there->name : mine->name;
  throw Error(Code::unsupported,
              concat("a value to differentiate, or to differentiate by, lies inside attention site '", name,
                     "', which the policy's method computes as a whole"))
      .hint("ask for values outside of it, or leave the policy away");
}

}  // namespace

Gradients gradients_of(Graph g, const Binding& binding, const std::string& output, const std::vector<std::string>& wrt,
                       const Registry& registry, const PassOptions& options, const PolicyUse& policy) {
  bind_shapes(g, binding);
  // Only what differentiating needs: shapes, and no branches. Dropping and merging would lose values of `wrt`.
  const Keep keep(wrt.begin(), wrt.end());
  do fold_constants(g, registry, keep);
  while (run_pass(inline_branch_pass, g, registry, options).rewrites > 0);
  if (policy.policy) {
    const auto of_run = attention_sites(graph_after(Stage::sites, g, binding, registry, options));
    std::vector<std::string> names = wrt;
    names.push_back(output);
    const HeldValues held(g, registry, names);
    g = graph_after(Stage::sites, std::move(g), binding, registry, options);
    held.release(g, registry);
    check_sites(attention_sites(g), of_run);
    Trail trail = apply_policy(g, *policy.policy, registry, policy.at);
    if (policy.trail) *policy.trail = std::move(trail);
  }
  Gradients gradients = differentiate(g, output, wrt, registry);
  simplify(gradients.graph, registry, options);
  return gradients;
}

}  // namespace tessera
