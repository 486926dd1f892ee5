#pragma once
// A graph that was put together rather than opened, run as it stands: one plan, no passes. Session does more, for
// models.
#include "runtime/exec/executor.h"
#include "runtime/pass/pass.h"
#include "runtime/plan/plan.h"
#include "runtime/session/branches.h"
#include "runtime/session/session.h"

namespace tessera {

// Thread rule: one run at a time. `registry` must outlive it. SessionOptions that count: threads, memory_limit and
// disabled_passes (of the branches of If).
class GraphRun {
 public:
  // Inputs of `graph` have concrete shapes. Errors: as make_plan.
  GraphRun(Graph graph, const Registry& registry, const SessionOptions& options, const PlanOptions& plan = {});
  const Plan& plan() const { return *plan_; }
  int threads() const { return workers_.threads(); }
  // Inputs that the graph does not have are left out. Errors: as Session::run.
  NamedTensors run(const NamedTensors& inputs, ExecuteOptions options = {});

 private:
  const Workers workers_;
  const std::shared_ptr<const Plan> plan_;
  const std::shared_ptr<Frame> frame_;
  Branches branches_;
};

// Errors: run_time where a plan's tensors take more than `limit` bytes; 0: no limit.
void check_memory(const Plan& plan, std::size_t limit);

}  // namespace tessera
