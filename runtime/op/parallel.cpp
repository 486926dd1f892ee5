#include "runtime/op/parallel.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <algorithm>

#include "runtime/base/error.h"

namespace tessera {
namespace {

thread_local LoopControl current;

}  // namespace

LoopScope::LoopScope(const LoopControl& control) : former_(current) { current = control; }
LoopScope::~LoopScope() { current = former_; }

void run_parallel(std::int64_t n, std::int64_t grain, LoopBody body) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  if (n <= grain) return body(0, n);
  const LoopControl control = current;
  const auto chunk = [&](std::int64_t c) {
    check(!control.stopped || !control.stopped(control.run), Code::run_time, "stopped");
    body(c * grain, std::min(n, (c + 1) * grain));
  };
  const std::int64_t chunks = (n - 1) / grain + 1;
  if (control.serial) {
    for (std::int64_t c = 0; c < chunks; ++c) chunk(c);
    return;
  }
  tbb::this_task_arena::isolate([&] {
    // Of its own: were it bound to the caller's, cancelling that would end this loop early without a word.
    tbb::task_group_context context(tbb::task_group_context::isolated);
    tbb::parallel_for(
        tbb::blocked_range<std::int64_t>(0, chunks, 1),
        [&](const auto& range) {
          for (auto c = range.begin(); c < range.end(); ++c) chunk(c);
        },
        tbb::simple_partitioner{}, context);
  });
}

}  // namespace tessera
