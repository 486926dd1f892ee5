#include "runtime/session/branches.h"

#include "runtime/plan/specialise.h"

namespace tessera {
namespace {

constexpr std::size_t plans_per_branch = 4;

}  // namespace

PlanCache& Branches::plans_of(const Subgraph& body) {
  const std::lock_guard lock(mutex_);
  auto& plans = plans_[&body];
  if (!plans) plans = std::make_unique<PlanCache>(plans_per_branch, arenas_);
  return *plans;
}

std::vector<Tensor> Branches::run(const Subgraph& body, std::span<const Tensor> inputs, const Workers& workers,
                                  const ExecuteOptions& options) {
  const auto* graph_body = dynamic_cast<const GraphBody*>(&body);
  check(graph_body != nullptr, Code::internal, "a subgraph that is no graph");
  const Graph& g = graph_body->graph;
  check(inputs.size() == g.inputs.size(), "the subgraph takes ", g.inputs.size(), " values, got ", inputs.size());
  const FrameLease lease(plans_of(body).get(inputs, [&] {
    Binding binding;
    for (std::size_t i = 0; i < inputs.size(); ++i) binding.shapes[g.at(g.inputs[i].value).name] = inputs[i].shape();
    return specialise(g, binding, registry_, passes_, {.one_thread = true});
  }));
  return execute(lease.frame(), inputs, workers, options);
}

}  // namespace tessera
