#pragma once
// The run loop: Plan + inputs -> outputs.
#include <chrono>
#include <memory>
#include <vector>

#include "runtime/exec/cancel.h"
#include "runtime/exec/frame.h"
#include "runtime/exec/observer.h"
#include "runtime/exec/workers.h"

namespace tessera {

struct ExecuteOptions {
  Observer* observer = nullptr;
  const Cancellation* cancellation = nullptr;
  Deadline deadline = {};
  SubgraphRunner* subgraphs = nullptr;               // for If; without one such a node is an error
  std::chrono::steady_clock::time_point began = {};  // what times count from that the observer is told; not set: now
  bool ordered = false;  // steps in order on the calling thread; loops in kernels use all threads
};

// Runs the plan once. `inputs` are in the order of plan->graph.inputs, with the plan's types and shapes. Outputs are in
// the order of graph.outputs and belong to the caller. Small plans run on the calling thread; others as tasks, a
// finished step running its first ready successor itself. With one worker everything runs on the calling thread. Errors
// of kernels get the node's name; run_time when cancelled, past the deadline or out of memory. After an error the frame
// may be used again.
std::vector<Tensor> execute(Frame& frame, std::span<const Tensor> inputs, const Workers& workers,
                            const ExecuteOptions& options = {});

}  // namespace tessera
