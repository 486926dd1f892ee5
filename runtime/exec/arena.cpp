#include "runtime/exec/arena.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "runtime/base/error.h"
#include "runtime/base/pages.h"

namespace tessera {
namespace {

// Up to an eighth more than asked for, so that shapes that grow a little with every run (a KV cache) find room.
std::size_t roomy(std::size_t bytes) {
  const std::size_t unit = std::max<std::size_t>(std::bit_floor(bytes) / 8, 4096);
  return (bytes / unit + 1) * unit;
}

}  // namespace

Arena::Arena(std::size_t bytes) {
  const std::size_t wanted = roomy(bytes);
  const Pages pages = wanted >= bytes ? allocate_pages(wanted, 4096) : Pages{};
  data_ = static_cast<std::byte*>(pages.data);
  bytes_ = pages.bytes;
  check(data_ != nullptr, Code::run_time, "out of memory: an arena of ", bytes, " bytes");
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

void ArenaPool::Outputs::keep(std::shared_ptr<Arena> block) {
  constexpr std::size_t most = std::size_t{256} << 20;
  std::vector<std::shared_ptr<Arena>> dropped;  // freed after the lock
  const std::lock_guard lock(mutex);
  free.push_back(std::move(block));
  std::size_t held = 0, n = free.size();
  while (n > 0 && held + free[n - 1]->bytes() <= most) held += free[--n]->bytes();
  const auto kept = free.begin() + static_cast<std::ptrdiff_t>(n);
  dropped.assign(std::move_iterator(free.begin()), std::move_iterator(kept));
  free.erase(free.begin(), kept);
}

std::shared_ptr<void> ArenaPool::output(std::size_t bytes) {
  std::shared_ptr<Arena> block;
  {
    const std::lock_guard lock(outputs_->mutex);
    auto& free = outputs_->free;
    const auto fits = [&](const auto& b) { return b->bytes() >= bytes && b->bytes() <= 2 * bytes; };
    if (const auto found = std::find_if(free.rbegin(), free.rend(), fits); found != free.rend()) {
      block = std::move(*found);
      free.erase(std::next(found).base());
    }
  }
  if (!block) block = std::make_shared<Arena>(bytes);
  void* data = block->data();
  return {data, [pool = std::weak_ptr(outputs_), block = std::move(block)](void*) mutable {
            if (const auto to = pool.lock()) to->keep(std::move(block));
          }};
}

}  // namespace tessera
