#pragma once
// Graph + input shapes -> Plan: bind shapes, fold, simplify, place memory. (Finding attention sites, applying the
// policy and fusing come between, in the order of Stage.)
#include <optional>
#include <string_view>

#include "runtime/pass/bind_shapes.h"
#include "runtime/pass/pass.h"
#include "runtime/plan/plan.h"
#include "runtime/policy/apply.h"

namespace tessera {

enum class Stage { load, bind, fold, sites, policy, fuse, plan };
std::string_view name(Stage s);
std::optional<Stage> stage_from_name(std::string_view text);

// What is applied in stage `policy`, and at which step. Borrowed; null: nothing, every site stays as it is.
struct PolicyUse {
  const Policy* policy = nullptr;
  StepClass at = {};
  Trail* trail = nullptr;  // set: receives the decisions
};

// What the passes of a stage did, in the order they ran.
struct StageRuns {
  Stage stage;
  std::vector<PassRun> passes;
};

// The graph as it is after `stage` (which is before `plan`). `runs`, when set, receives what the passes did.
Graph graph_after(Stage stage, Graph g, const Binding& binding, const Registry& registry,
                  const PassOptions& options = {}, const PolicyUse& policy = {},
                  std::vector<StageRuns>* runs = nullptr);

// All arrows.
Plan specialise(Graph g, const Binding& binding, const Registry& registry, const PassOptions& options = {},
                const PlanOptions& plan_options = {}, const PolicyUse& policy = {});

}  // namespace tessera
