#pragma once
// Which heads of a node go by which method: runs of heads that one call of a kernel serves through views.
#include <cstdint>
#include <span>
#include <vector>

namespace tessera {

// Query heads first + i step for i < n, reading kv heads kv_first + (i / (n / kv_n)) kv_step.
struct HeadRun {
  std::int64_t first = 0, step = 1, n = 0;
  std::int64_t kv_first = 0, kv_step = 1, kv_n = 0;
  bool operator==(const HeadRun&) const = default;
};

// The query heads of `heads` (ascending) as few runs; `group` query heads share a kv head. A group may be split.
std::vector<HeadRun> head_runs(std::span<const std::int64_t> heads, std::int64_t group);

}  // namespace tessera
