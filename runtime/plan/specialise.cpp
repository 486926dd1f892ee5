#include "runtime/plan/specialise.h"

#include "runtime/graph/verify.h"
#include "runtime/pass/find_attention.h"

namespace tessera {
namespace {

constexpr std::string_view names[] = {"load", "bind", "fold", "sites", "policy", "fuse", "plan"};

}  // namespace

std::string_view name(Stage s) { return names[static_cast<std::size_t>(s)]; }

std::optional<Stage> stage_from_name(std::string_view text) {
  for (std::size_t i = 0; i < std::size(names); ++i)
    if (names[i] == text) return static_cast<Stage>(i);
  return std::nullopt;
}

Graph graph_after(Stage stage, Graph g, const Binding& binding, const Registry& registry, const PassOptions& options,
                  const PolicyUse& use) {
  if (stage >= Stage::bind) bind_shapes(g, binding);
  if (stage >= Stage::fold) simplify(g, registry, options);
  if (stage >= Stage::sites && !options.disabled.contains(find_attention_pass.name) &&
      find_attention_pass.run(g, registry)) {
    verify(g);
    simplify(g, registry, options);
  }
  if (stage >= Stage::policy && use.policy) {
    Trail trail = apply_policy(g, *use.policy, registry, use.at);
    if (use.trail) *use.trail = std::move(trail);
    simplify(g, registry, options);  // casts of weights fold
  }
  if (stage >= Stage::fuse) fuse(g, registry, options);
  return g;
}

Plan specialise(Graph g, const Binding& binding, const Registry& registry, const PassOptions& options,
                const PlanOptions& plan_options, const PolicyUse& policy) {
  return make_plan(graph_after(Stage::fuse, std::move(g), binding, registry, options, policy), plan_options);
}

}  // namespace tessera
