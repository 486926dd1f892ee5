#pragma once
// The plans of one graph, one per set of input shapes and class of steps, each with the frames its runs have used.
// Least recently used go.
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/exec/frame.h"
#include "runtime/op/loop_threads.h"
#include "runtime/policy/apply.h"

namespace tessera {

// A plan and the frames that no run uses at the moment.
class PlannedRuns {
 public:
  PlannedRuns(std::shared_ptr<const Plan> plan, std::shared_ptr<ArenaPool> arenas)
      : plan_(std::move(plan)), arenas_(std::move(arenas)) {}
  const std::shared_ptr<const Plan>& plan() const { return plan_; }
  std::shared_ptr<Frame> take();
  void give_back(std::shared_ptr<Frame> frame);

 private:
  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<ArenaPool> arenas_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Frame>> free_;
};

// A frame on loan.
class FrameLease {
 public:
  explicit FrameLease(std::shared_ptr<PlannedRuns> runs) : runs_(std::move(runs)), frame_(runs_->take()) {}
  ~FrameLease() { runs_->give_back(std::move(frame_)); }
  FrameLease(const FrameLease&) = delete;
  FrameLease& operator=(const FrameLease&) = delete;
  Frame& frame() const { return *frame_; }

 private:
  std::shared_ptr<PlannedRuns> runs_;
  std::shared_ptr<Frame> frame_;
};

// Thread rule: any thread may call `get`; of several that ask for the same new shapes one makes the plan, the others
// wait for it, whatever becomes of the run that makes it. When making it fails each of them gets an error of its own,
// and the next to ask tries again.
class PlanCache {
 public:
  PlanCache(std::size_t limit, std::shared_ptr<ArenaPool> arenas)
      : limit_(std::max<std::size_t>(limit, 1)), arenas_(std::move(arenas)) {}
  template <class Make>
  std::shared_ptr<PlannedRuns> get(std::span<const Tensor> inputs, Make make, const StepClass& at = {}) {
    Asked asked = ask(inputs, at);
    if (asked.mine) {
      try {
        const LoopScope whole({.serial = current_loops().serial});  // not stopped with the run that asks
        asked.mine->set_value(std::make_shared<PlannedRuns>(std::make_shared<const Plan>(make()), arenas_));
      } catch (...) {
        forget(inputs, at);
        asked.mine->set_exception(std::current_exception());
      }
    }
    try {
      return asked.runs.get();
    } catch (const Error& e) {
      throw Error(e);  // which whoever catches it may add to
    }
  }
  std::size_t size() const;

 private:
  using Future = std::shared_future<std::shared_ptr<PlannedRuns>>;
  using Promise = std::promise<std::shared_ptr<PlannedRuns>>;
  struct Entry {
    std::vector<Shape> shapes;
    StepClass at;
    Future runs;
  };
  struct Asked {
    Future runs;
    std::unique_ptr<Promise> mine;  // set: the caller has to make the plan
  };
  Asked ask(std::span<const Tensor> inputs, const StepClass& at);
  void forget(std::span<const Tensor> inputs, const StepClass& at);
  std::list<Entry>::iterator find(std::span<const Tensor> inputs, const StepClass& at);

  const std::size_t limit_;
  const std::shared_ptr<ArenaPool> arenas_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
};

}  // namespace tessera
