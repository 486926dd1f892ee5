#include "runtime/session/plan_cache.h"

#include <algorithm>

namespace tessera {

std::shared_ptr<Frame> PlannedRuns::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      auto frame = std::move(free_.back());
      free_.pop_back();
      return frame;
    }
  }
  return make_frame(plan_, arenas_);
}

void PlannedRuns::give_back(std::shared_ptr<Frame> frame) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(frame));
}

std::list<PlanCache::Entry>::iterator PlanCache::find(std::span<const Tensor> inputs) {
  return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return std::equal(e.shapes.begin(), e.shapes.end(), inputs.begin(), inputs.end(),
                      [](const Shape& s, const Tensor& t) { return s == t.shape(); });
  });
}

PlanCache::Asked PlanCache::ask(std::span<const Tensor> inputs) {
  const std::lock_guard lock(mutex_);
  if (const auto at = find(inputs); at != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, at);
    return {at->runs, nullptr};
  }
  auto promise = std::make_unique<Promise>();
  Entry entry{{}, promise->get_future().share()};
  for (const auto& t : inputs) entry.shapes.push_back(t.shape());
  entries_.push_front(std::move(entry));
  if (entries_.size() > limit_) entries_.pop_back();
  return {entries_.front().runs, std::move(promise)};
}

void PlanCache::forget(std::span<const Tensor> inputs) {
  const std::lock_guard lock(mutex_);
  if (const auto at = find(inputs); at != entries_.end()) entries_.erase(at);
}

std::size_t PlanCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace tessera
