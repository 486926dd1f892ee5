#pragma once
// Records a run for chrome://tracing or ui.perfetto.dev: one lane per worker, one box per step.
#include <mutex>
#include <string>
#include <vector>

#include "runtime/exec/observer.h"

namespace tessera {

// Give it to one run or to several after each other, with `next_run` between. Thread rule: `step` from
// any thread; `write` when no run is going on.
class [[gnu::visibility("default")]] Trace final : public Observer {
 public:
  void step(const StepEvent& event) override;
  void next_run();  // steps that follow are shown after those before
  // {"traceEvents": [...]}: complete events ("ph": "X") with the node's name, and op, shapes and flops as arguments.
  std::string json() const;
  void write(const std::string& path) const;  // Errors: run_time naming the path

 private:
  struct Event {
    std::string node, op, in, out;
    int worker;
    std::int64_t begin_ns, end_ns;
    double flops;
  };
  std::mutex mutex_;
  std::vector<Event> events_;
  std::int64_t run_begin_ns_ = 0, last_end_ns_ = 0;
};

}  // namespace tessera
