#include "runtime/exec/executor.h"

#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "runtime/exec/run.h"
#include "runtime/plan/cost.h"

namespace tessera {
namespace {

constexpr double queue_ns = 20000;  // of tiny steps that one thread keeps to itself

// Runs steps as tasks, each when all it waits for has finished.
class TaskRun {
 public:
  explicit TaskRun(Run& run) : run_(run), together_(run.steps().size(), -1) {
    for (std::size_t s = 0; s < run.steps().size(); ++s)
      run.frame().waiting(s).store(run.steps()[s].waits_for, std::memory_order_relaxed);
  }

  void operator()() {
    std::vector<std::int32_t> ready;
    for (std::size_t s = 0; s < run_.steps().size(); ++s)
      if (run_.steps()[s].waits_for == 0) ready.push_back(static_cast<std::int32_t>(s));
    // A waiting thread takes steps of this run, or of another run of the session, but nothing from inside a kernel.
    start(ready);
    group_.wait();
    handed_over_.load(std::memory_order_acquire);
  }

 private:
  double cost(std::int32_t s) const { return run_.steps()[static_cast<std::size_t>(s)].cost; }
  struct Task {
    TaskRun* run;
    std::int32_t first;
    void operator()() const { take_over_steps(*this); }
    // By a name of its own, for tests/support/tsan.supp: the task object came from another thread.
    static void take_over_steps(const Task& task) { task.run->begin(task.first); }
  };
  // A task for these steps, which are a list in together_ on their way.
  void spawn(std::span<const std::int32_t> steps) {
    for (std::size_t i = 0; i < steps.size(); ++i)
      together_[static_cast<std::size_t>(steps[i])] = i + 1 < steps.size() ? steps[i + 1] : -1;
    handed_over_.fetch_add(1, std::memory_order_release);
    group_.run(Task{this, steps[0]});
  }
  void spawn(std::int32_t step) { spawn({&step, 1}); }
  void begin(std::int32_t first) {
    handed_over_.load(std::memory_order_acquire);
    std::vector<std::int32_t> mine;
    for (auto s = first; s >= 0; s = together_[static_cast<std::size_t>(s)]) mine.push_back(s);
    follow(std::move(mine));
    handed_over_.fetch_add(1, std::memory_order_release);
  }

  // Spawns heavy steps and, together, the tiny ones.
  void start(const std::vector<std::int32_t>& ready) {
    std::vector<std::int32_t> tiny;
    for (std::size_t i = ready.size(); i-- > 0;)  // a thread takes its latest task first
      if (cost(ready[i]) < tiny_step_ns)
        tiny.push_back(ready[i]);
      else
        spawn(ready[i]);
    if (!tiny.empty()) spawn(tiny);
  }

  // Runs these steps and what they make ready: tiny ones at once, then one heavy one; other heavy ones become tasks.
  void follow(std::vector<std::int32_t> mine) {
    std::int32_t heavy = -1;
    double queued = 0;
    for (const auto s : mine) queued += cost(s);
    while (!mine.empty() || heavy >= 0) {
      if (heavy >= 0 && !mine.empty()) {
        spawn(heavy);
        heavy = -1;
      }
      if (queued > queue_ns && mine.size() > 1) queued -= share(mine);
      std::int32_t s = heavy;
      heavy = -1;
      if (s < 0) {
        s = mine.back();
        mine.pop_back();
        queued -= cost(s);
      }
      if (!run_.step(static_cast<std::size_t>(s))) return;
      for (const auto n : run_.steps()[static_cast<std::size_t>(s)].next) {
        if (run_.frame().waiting(static_cast<std::size_t>(n)).fetch_sub(1, std::memory_order_acq_rel) > 1) continue;
        if (cost(n) < tiny_step_ns) {
          mine.push_back(n);
          queued += cost(n);
        } else if (heavy < 0) {
          heavy = n;
        } else {
          spawn(n);
        }
      }
    }
  }

  // Leaves the older half of the queue to another thread; returns its cost.
  double share(std::vector<std::int32_t>& mine) {
    const auto half = mine.begin() + static_cast<std::ptrdiff_t>(mine.size() / 2);
    std::vector<std::int32_t> other(mine.begin(), half);
    mine.erase(mine.begin(), half);
    double given = 0;
    for (const auto s : other) given += cost(s);
    spawn(other);
    return given;
  }

  Run& run_;
  std::vector<std::int32_t> together_;  // by step: the next step of the task it was spawned with; -1 the last
  // Orders a task after who spawned it, and the end after all. TBB does so itself, but invisibly to race detectors.
  std::atomic<std::int64_t> handed_over_{0};
  tbb::task_group group_;  // the last: it waits for its tasks before what they use is gone
};

void run_steps(Frame& frame, const Workers& workers, const ExecuteOptions& options) {
  const Plan::Mode mode = frame.plan().mode;
  if (mode == Plan::Mode::inline_steps) return Run(frame, options, true).in_order();
  if (options.ordered) return Run(frame, options, workers.threads() == 1).in_order();
  workers.run([&] {
    Run run(frame, options, workers.threads() == 1);
    if (mode == Plan::Mode::ordered || workers.threads() == 1) return run.in_order();
    TaskRun{run}();
    run.rethrow();
  });
}

struct EndOfRun {
  Frame& frame;
  ~EndOfRun() { frame.end(); }
};

}  // namespace

std::vector<Tensor> execute(Frame& frame, std::span<const Tensor> inputs, const Workers& workers,
                            const ExecuteOptions& options) {
  const EndOfRun end{frame};
  frame.begin(inputs, options.subgraphs);
  run_steps(frame, workers, options);
  return frame.finish();
}

}  // namespace tessera
