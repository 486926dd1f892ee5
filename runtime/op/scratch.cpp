#include "runtime/op/scratch.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/pages.h"

namespace tessera {
namespace {

constexpr std::size_t least = 4096;

// Blocks that the thread owns and nobody uses. At most `kept_bytes` stay; the rest goes back to the system.
struct Pool {
  static constexpr std::size_t kept_bytes = std::size_t{64} << 20;
  std::vector<Pages> free;
  std::size_t held = 0;
  ~Pool() {
    for (const auto& b : free) std::free(b.data);
  }
};
thread_local Pool pool;

}  // namespace

ScratchBlock::ScratchBlock(std::size_t bytes) {
  for (std::size_t i = pool.free.size(); i-- > 0;) {
    const auto block = pool.free[i];
    if (block.bytes < bytes || block.bytes > 2 * std::max(bytes, least)) continue;
    pool.free.erase(pool.free.begin() + static_cast<std::ptrdiff_t>(i));
    pool.held -= block.bytes;
    data_ = block.data;
    bytes_ = block.bytes;
    return;
  }
  const Pages pages = allocate_pages(bytes, least);
  check(pages.data != nullptr, Code::run_time, "out of memory: ", bytes, " bytes of working memory");
  data_ = pages.data;
  bytes_ = pages.bytes;
}

ScratchBlock::~ScratchBlock() {
  if (pool.held + bytes_ > Pool::kept_bytes) {
    std::free(data_);
    return;
  }
  pool.free.push_back({data_, bytes_});
  pool.held += bytes_;
}

}  // namespace tessera
