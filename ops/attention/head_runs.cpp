#include "ops/attention/head_runs.h"

namespace tessera {
namespace {

// Whether `heads`, an arithmetic sequence, read their kv heads as a run does: as many query heads each, evenly spaced.
bool is_run(std::span<const std::int64_t> heads, std::int64_t group, HeadRun& run) {
  const auto kv = [&](std::int64_t i) { return heads[static_cast<std::size_t>(i)] / group; };
  run.n = std::ssize(heads);
  run.first = heads[0], run.step = run.n > 1 ? heads[1] - heads[0] : 1;
  run.kv_first = kv(0), run.kv_n = 1, run.kv_step = 1;
  for (std::int64_t i = 1; i < run.n; ++i) {
    if (kv(i) == kv(i - 1)) continue;
    if (run.kv_n == 1) run.kv_step = kv(i) - run.kv_first;
    ++run.kv_n;
  }
  const std::int64_t shared = run.n / run.kv_n;
  for (std::int64_t i = 0; i < run.n; ++i)
    if (kv(i) != run.kv_first + i / shared * run.kv_step) return false;
  return true;
}

}  // namespace

std::vector<HeadRun> head_runs(std::span<const std::int64_t> heads, std::int64_t group) {
  std::vector<HeadRun> runs;
  while (!heads.empty()) {
    std::size_t n = std::min<std::size_t>(heads.size(), 2);
    while (n < heads.size() && n >= 2 && heads[n] - heads[n - 1] == heads[1] - heads[0]) ++n;
    HeadRun run;
    while (!is_run(heads.first(n), group, run)) --n;  // one head always is
    runs.push_back(run);
    heads = heads.subspan(n);
  }
  return runs;
}

}  // namespace tessera
