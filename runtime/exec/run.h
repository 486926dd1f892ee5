#pragma once
// One execution of a plan while it lasts: what its steps share, whatever order they run in.
#include <atomic>
#include <chrono>
#include <mutex>

#include "runtime/exec/executor.h"
#include "runtime/op/parallel.h"

namespace tessera {

class Run {
 public:
  Run(Frame& frame, const ExecuteOptions& options, bool serial_loops);

  Frame& frame() const { return frame_; }
  const std::vector<Step>& steps() const { return frame_.plan().steps; }

  // All steps in order on the calling thread. Throws what a step threw, with the node's name.
  void in_order();
  // One step. False when it failed or the run is to stop; `rethrow` then tells why.
  bool step(std::size_t s) noexcept;
  // Throws the reason for stopping, or the first failure with its node's name; nothing when all went well.
  void rethrow() const;

 private:
  using Clock = std::chrono::steady_clock;
  void run_step(std::size_t s);
  void run_late(std::size_t s);
  void observed(std::size_t s);
  bool watched() const { return options_.cancellation || options_.deadline; }
  bool should_stop() const;
  void check_stop() const;  // throws why the run stops, if it does
  void fail(std::size_t s) noexcept;

  Frame& frame_;
  const ExecuteOptions& options_;
  const Clock::time_point begin_ =
      options_.observer && options_.began == Clock::time_point() ? Clock::now() : options_.began;
  const LoopControl loops_;
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  std::size_t failed_step_ = 0;
  std::exception_ptr error_;
};

}  // namespace tessera
