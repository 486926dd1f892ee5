#pragma once
// All threads of the calling task's arena for one kernel that brings a threaded library of its own (OpenMP).
#include <mutex>
#include <optional>

#include "runtime/op/parallel.h"

namespace tessera {

// From construction to destruction, on one thread. At most one lease is held in the process: others wait, so that
// libraries do not multiply their threads, and a kernel sees the same number in every run. The holder's own loops are
// serial meanwhile; it waits for nobody, so waiting ends. Where loops are serial anyway, it is one thread and nobody
// waits.
class PluginThreadLease {
 public:
  PluginThreadLease();
  int threads() const { return threads_; }

 private:
  int threads_;
  std::unique_lock<std::mutex> held_;
  std::optional<LoopScope> serial_;
};

}  // namespace tessera
