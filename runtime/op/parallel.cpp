#include "runtime/op/parallel.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <algorithm>

namespace tessera {

void run_parallel(std::int64_t n, std::int64_t grain, LoopBody body) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  if (n <= grain) return body(0, n);
  tbb::this_task_arena::isolate([&] {
    const tbb::blocked_range<std::int64_t> chunks(0, (n + grain - 1) / grain, 1);
    tbb::parallel_for(
        chunks,
        [&](const auto& range) {
          for (auto c = range.begin(); c < range.end(); ++c) body(c * grain, std::min(n, (c + 1) * grain));
        },
        tbb::simple_partitioner{});
  });
}

}  // namespace tessera
