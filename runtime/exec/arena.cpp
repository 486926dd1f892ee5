#include "runtime/exec/arena.h"

#include <sys/mman.h>
#include <algorithm>
#include <bit>
#include <cstdlib>

#include "runtime/base/error.h"

namespace tessera {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

// Up to an eighth more than asked for, so that shapes that grow a little with every run (a KV cache) find room.
std::size_t roomy(std::size_t bytes) {
  const std::size_t unit = std::max<std::size_t>(std::bit_floor(bytes) / 8, bytes >= huge_page ? huge_page : 4096);
  return (bytes / unit + 1) * unit;
}

}  // namespace

Arena::Arena(std::size_t bytes) : data_(nullptr), bytes_(roomy(bytes)) {
  const std::size_t alignment = bytes_ >= huge_page ? huge_page : 4096;
  bytes_ = (bytes_ + alignment - 1) / alignment * alignment;
  data_ = static_cast<std::byte*>(bytes_ >= bytes ? std::aligned_alloc(alignment, bytes_) : nullptr);
  check(data_ != nullptr, Code::run_time, "out of memory: an arena of ", bytes, " bytes");
  if (alignment == huge_page) ::madvise(data_, bytes_, MADV_HUGEPAGE);  // only advice: failing changes nothing
}

Arena::~Arena() { std::free(data_); }

std::unique_ptr<Arena> ArenaPool::take(std::size_t bytes, const std::byte* preferred) {
  std::unique_ptr<Arena> too_small;
  {
    const std::lock_guard lock(mutex_);
    auto best = free_.end();
    for (auto a = free_.begin(); a != free_.end(); ++a) {
      if ((*a)->bytes() < bytes) continue;
      if (best == free_.end() || (*a)->bytes() < (*best)->bytes()) best = a;
      if ((*a)->data() == preferred) {
        best = a;
        break;
      }
    }
    if (best == free_.end() && !free_.empty()) {
      std::swap(free_.back(), too_small);
      free_.pop_back();
    } else if (best != free_.end()) {
      auto found = std::move(*best);
      free_.erase(best);
      return found;
    }
  }
  too_small.reset();
  return std::make_unique<Arena>(bytes);
}

void ArenaPool::give_back(std::unique_ptr<Arena> arena) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(arena));
}

}  // namespace tessera
