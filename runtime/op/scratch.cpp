#include "runtime/op/scratch.h"

#include <sys/mman.h>
#include <cstdlib>
#include <vector>

#include "runtime/base/error.h"

namespace tessera {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

// Blocks that the thread owns and nobody uses. At most `kept_bytes` stay; the rest goes back to the system.
struct Pool {
  static constexpr std::size_t kept_bytes = std::size_t{64} << 20;
  struct Block {
    void* data;
    std::size_t bytes;
  };
  std::vector<Block> free;
  std::size_t held = 0;
  ~Pool() {
    for (const auto& b : free) std::free(b.data);
  }
};
thread_local Pool pool;

}  // namespace

ScratchBlock::ScratchBlock(std::size_t bytes) : data_(nullptr), bytes_((bytes + 4095) / 4096 * 4096) {
  if (bytes_ == 0) bytes_ = 4096;
  for (std::size_t i = pool.free.size(); i-- > 0;) {
    const auto block = pool.free[i];
    if (block.bytes < bytes_ || block.bytes > 2 * bytes_) continue;
    pool.free.erase(pool.free.begin() + static_cast<std::ptrdiff_t>(i));
    pool.held -= block.bytes;
    data_ = block.data;
    bytes_ = block.bytes;
    return;
  }
  const std::size_t alignment = bytes_ >= huge_page ? huge_page : 4096;
  bytes_ = (bytes_ + alignment - 1) / alignment * alignment;
  data_ = bytes_ >= bytes ? std::aligned_alloc(alignment, bytes_) : nullptr;
  check(data_ != nullptr, Code::run_time, "out of memory: ", bytes, " bytes of working memory");
  if (alignment == huge_page) ::madvise(data_, bytes_, MADV_HUGEPAGE);  // only advice: failing changes nothing
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
