#include "runtime/plan/specialise.h"

#include "runtime/pass/find_attention.h"

namespace tessera {
namespace {

constexpr std::string_view names[] = {"load", "bind", "fold", "sites", "policy", "fuse", "plan"};

std::vector<PassRun> find_sites(Graph& g, const Registry& registry, const PassOptions& options) {
  std::vector<PassRun> runs{run_pass(find_attention_pass, g, registry, options)};
  if (runs[0].rewrites == 0) return runs;
  for (const auto& run : simplify(g, registry, options)) runs.push_back(run);
  return runs;
}

}  // namespace

std::string_view name(Stage s) { return names[static_cast<std::size_t>(s)]; }

std::optional<Stage> stage_from_name(std::string_view text) {
  for (std::size_t i = 0; i < std::size(names); ++i)
    if (names[i] == text) return static_cast<Stage>(i);
  return std::nullopt;
}

Graph graph_after(Stage stage, Graph g, const Binding& binding, const Registry& registry, const PassOptions& options,
                  const PolicyUse& use, std::vector<StageRuns>* runs) {
  const auto record = [&](Stage at, std::vector<PassRun> passes) {
    if (runs) runs->push_back({at, std::move(passes)});
  };
  if (stage >= Stage::bind) bind_shapes(g, binding);
  if (stage >= Stage::fold) record(Stage::fold, simplify(g, registry, options));
  if (stage >= Stage::sites) record(Stage::sites, find_sites(g, registry, options));
  if (stage >= Stage::policy && use.policy) {
    Trail trail = apply_policy(g, *use.policy, registry, use.at);
    if (use.trail) *use.trail = std::move(trail);
    record(Stage::policy, simplify(g, registry, options));  // casts of weights fold
  }
  if (stage >= Stage::fuse) record(Stage::fuse, fuse(g, registry, options));
  return g;
}

Plan specialise(Graph g, const Binding& binding, const Registry& registry, const PassOptions& options,
                const PlanOptions& plan_options, const PolicyUse& policy) {
  return make_plan(graph_after(Stage::fuse, std::move(g), binding, registry, options, policy), plan_options);
}

}  // namespace tessera
