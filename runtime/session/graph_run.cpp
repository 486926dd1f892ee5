#include "runtime/session/graph_run.h"

namespace tessera {

void check_memory(const Plan& plan, std::size_t limit) {
  const std::size_t needed = plan.arena_bytes + plan.output_bytes;
  check(limit == 0 || needed <= limit, Code::run_time, "the run needs ", needed, " bytes of memory, the limit is ",
        limit);
}

GraphRun::GraphRun(Graph graph, const Registry& registry, const SessionOptions& options, const PlanOptions& plan)
    : workers_(options.threads),
      plan_(std::make_shared<const Plan>(make_plan(std::move(graph), plan))),
      frame_(make_frame(plan_)),
      branches_(registry, {options.disabled_passes}, std::make_shared<ArenaPool>()) {
  check_memory(*plan_, options.memory_limit);
}

NamedTensors GraphRun::run(const NamedTensors& inputs, ExecuteOptions options) {
  std::vector<Tensor> in;
  for (const auto& i : plan_->graph.inputs) in.push_back(inputs.at(plan_->graph.at(i.value).name));
  if (options.observer) options.began = std::chrono::steady_clock::now();
  BranchesOfRun branches(branches_, workers_, options);
  options.subgraphs = &branches;
  auto results = execute(*frame_, in, workers_, options);
  NamedTensors outputs;
  for (std::size_t i = 0; i < results.size(); ++i) outputs.emplace(plan_->graph.outputs[i].name, std::move(results[i]));
  return outputs;
}

}  // namespace tessera
