#pragma once
// Graph + input shapes -> Plan: bind shapes, fold, simplify, place memory. (Finding attention sites, applying the
// policy and fusing come between, in the order of Stage.)
#include <optional>
#include <string_view>

#include "runtime/pass/bind_shapes.h"
#include "runtime/pass/pass.h"
#include "runtime/plan/plan.h"

namespace tessera {

enum class Stage { load, bind, fold, sites, policy, fuse, plan };
std::string_view name(Stage s);
std::optional<Stage> stage_from_name(std::string_view text);

// The graph as it is after `stage` (which is before `plan`).
Graph graph_after(Stage stage, Graph g, const Binding& binding, const Registry& registry,
                  const PassOptions& options = {});

// All arrows.
Plan specialise(Graph g, const Binding& binding, const Registry& registry, const PassOptions& options = {},
                const PlanOptions& plan_options = {});

}  // namespace tessera
