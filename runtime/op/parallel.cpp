#include "runtime/op/parallel.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <algorithm>
#include <atomic>

#include "runtime/base/error.h"
#include "runtime/op/loop_threads.h"

namespace tessera {
namespace {

thread_local LoopControl current;

}  // namespace

LoopScope::LoopScope(const LoopControl& control) : former_(current) { current = control; }
LoopScope::~LoopScope() { current = former_; }

LoopControl current_loops() { return current; }

int loop_threads() { return current.serial ? 1 : tbb::this_task_arena::max_concurrency(); }

namespace {

// A loop shared by the threads that run its chunks.
struct Loop {
  std::int64_t n, grain;
  LoopBody body;
  LoopControl control;
  // Orders chunks after the loop's begin and before its end. TBB does so itself, but invisibly to race detectors.
  std::atomic<std::int64_t> tasks_done{0};

  void chunk(std::int64_t c) const {
    check(!control.stopped || !control.stopped(control.run), Code::run_time, "stopped");
    body(c * grain, std::min(n, (c + 1) * grain));
  }
  void chunks(std::int64_t begin, std::int64_t end) {
    tasks_done.load(std::memory_order_acquire);
    struct Done {
      std::atomic<std::int64_t>& count;
      ~Done() { count.fetch_add(1, std::memory_order_release); }
    } done{tasks_done};
    const LoopScope inner(control);  // loops within a chunk are stopped with this one, whatever thread they are on
    for (std::int64_t c = begin; c < end; ++c) chunk(c);
  }
};

struct LoopTask {
  Loop* loop;
  void operator()(const tbb::blocked_range<std::int64_t>& range) const { take_over_chunks(*this, range); }
  // By a name of its own, for tests/support/tsan.supp: the task object came from another thread.
  static void take_over_chunks(const LoopTask& task, const tbb::blocked_range<std::int64_t>& range) {
    task.loop->chunks(range.begin(), range.end());
  }
};

}  // namespace

void run_parallel(std::int64_t n, std::int64_t grain, LoopBody body) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  if (n <= grain) return body(0, n);
  Loop loop{n, grain, body, current};
  const std::int64_t chunks = (n - 1) / grain + 1;
  if (current.serial) {
    for (std::int64_t c = 0; c < chunks; ++c) loop.chunk(c);
    return;
  }
  loop.tasks_done.store(0, std::memory_order_release);
  struct End {
    std::atomic<std::int64_t>& tasks_done;
    ~End() { tasks_done.load(std::memory_order_acquire); }  // also when a chunk has thrown
  } end{loop.tasks_done};
  tbb::this_task_arena::isolate([&] {
    // Of its own: were it bound to the caller's, cancelling that would end this loop early without a word.
    tbb::task_group_context context(tbb::task_group_context::isolated);
    tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, chunks, 1), LoopTask{&loop}, tbb::simple_partitioner{},
                      context);
  });
}

}  // namespace tessera
