#pragma once
// Stopping a run from outside: by hand or by deadline. Part of the installed headers.
#include <atomic>
#include <chrono>
#include <optional>

namespace [[gnu::visibility("default")]] tessera {

// Shared by the caller and the run. Thread rule: any thread may call anything.
class Cancellation {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

}  // namespace tessera
