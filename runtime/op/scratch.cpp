#include "runtime/op/scratch.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/pages.h"

namespace tessera {
namespace {

constexpr std::size_t least = 4096;

// Blocks that nobody uses. The last ones given back stay, of `most` bytes together; older ones go to the system.
class Pool {
 public:
  explicit Pool(std::size_t most) : most_(most) {}
  ~Pool() { drop_down_to(0); }

  // A block that is not much larger than what is asked for; null data: there is none.
  Pages take(std::size_t bytes) {
    for (std::size_t i = free_.size(); i-- > 0;) {
      const Pages block = free_[i];
      if (block.bytes < bytes || block.bytes > 2 * std::max(bytes, least)) continue;
      free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
      held_ -= block.bytes;
      return block;
    }
    return {nullptr, 0};
  }
  void give(Pages block) {
    free_.push_back(block);
    held_ += block.bytes;
    drop_down_to(most_);
  }

 private:
  void drop_down_to(std::size_t bytes) {
    std::size_t dropped = 0;
    for (; held_ > bytes; ++dropped) {
      held_ -= free_[dropped].bytes;
      std::free(free_[dropped].data);
    }
    free_.erase(free_.begin(), free_.begin() + static_cast<std::ptrdiff_t>(dropped));
  }

  std::size_t most_, held_ = 0;
  std::vector<Pages> free_;  // the oldest first
};

thread_local Pool own(std::size_t{16} << 20);

// Blocks of huge pages belong to all threads: few kernels need them, whatever thread they are on, and what each thread
// kept for itself would add up. What is asked for and what comes of it, in whole multiples of `least`, are large alike.
bool is_large(std::size_t bytes) { return bytes > huge_page - least; }
struct Shared {
  std::mutex mutex;
  Pool pool{std::size_t{512} << 20};
};
Shared& shared() {
  static auto* const all = new Shared;  // never destroyed: threads may outlive what is
  return *all;
}

}  // namespace

ScratchBlock::ScratchBlock(std::size_t bytes) {
  const auto pages = [&] {
    if (!is_large(bytes)) return own.take(bytes);
    const std::scoped_lock lock(shared().mutex);
    return shared().pool.take(bytes);
  }();
  const Pages block = pages.data != nullptr ? pages : allocate_pages(bytes, least);
  check(block.data != nullptr, Code::run_time, "out of memory: ", bytes, " bytes of working memory");
  data_ = block.data;
  bytes_ = block.bytes;
}

ScratchBlock::~ScratchBlock() {
  if (!is_large(bytes_)) {
    own.give({data_, bytes_});
  } else {
    const std::scoped_lock lock(shared().mutex);
    shared().pool.give({data_, bytes_});
  }
}

}  // namespace tessera
