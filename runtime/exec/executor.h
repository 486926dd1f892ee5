#pragma once
// The run loop: Plan + inputs -> outputs.
#include <memory>
#include <vector>

#include "runtime/exec/cancel.h"
#include "runtime/exec/observer.h"
#include "runtime/plan/plan.h"

namespace tessera {

// One run's slots and memory. Reused between runs of the same plan; used by one run at a time.
class Frame;

struct ExecuteOptions {
  Observer* observer = nullptr;
  const Cancellation* cancellation = nullptr;
  Deadline deadline;
};

// The threads a session runs on: one task arena, whose workers call oneDNN with one thread each.
class Workers {
 public:
  explicit Workers(int threads);  // 0: as many as the process may use
  ~Workers();
  int threads() const;
  struct State;
  State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

std::shared_ptr<Frame> make_frame(std::shared_ptr<const Plan> plan);

// Runs the plan once. `inputs` are in the order of plan->graph.inputs, with the plan's types and shapes. Outputs are in
// the order of graph.outputs and belong to the caller. Small plans run on the calling thread; others as tasks, a
// finished step running its first ready successor itself. Errors of kernels get the node's name; run_time when
// cancelled, past the deadline or out of memory. After an error the frame may be used again.
std::vector<Tensor> execute(Frame& frame, std::span<const Tensor> inputs, const Workers& workers,
                            const ExecuteOptions& options = {});

}  // namespace tessera
