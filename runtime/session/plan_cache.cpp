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

std::list<PlanCache::Entry>::iterator PlanCache::find(std::span<const Tensor> inputs, const StepClass& at) {
  return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return e.at == at && std::equal(e.shapes.begin(), e.shapes.end(), inputs.begin(), inputs.end(),
                                    [](const Shape& s, const Tensor& t) { return s == t.shape(); });
  });
}

PlanCache::Asked PlanCache::ask(std::span<const Tensor> inputs, const StepClass& at) {
  const std::lock_guard lock(mutex_);
  if (const auto found = find(inputs, at); found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return {found->runs, nullptr};
  }
  auto promise = std::make_unique<Promise>();
  Entry entry{{}, at, promise->get_future().share()};
  for (const auto& t : inputs) entry.shapes.push_back(t.shape());
  entries_.push_front(std::move(entry));
  if (entries_.size() > limit_) entries_.pop_back();
  return {entries_.front().runs, std::move(promise)};
}

void PlanCache::forget(std::span<const Tensor> inputs, const StepClass& at) {
  const std::lock_guard lock(mutex_);
  if (const auto found = find(inputs, at); found != entries_.end()) entries_.erase(found);
}

std::size_t PlanCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace tessera
