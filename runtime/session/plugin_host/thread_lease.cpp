#include "runtime/session/plugin_host/thread_lease.h"

#include "runtime/op/loop_threads.h"

namespace tessera {
namespace {

std::mutex& one_at_a_time() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

PluginThreadLease::PluginThreadLease() : threads_(loop_threads()) {
  if (threads_ == 1) return;
  held_ = std::unique_lock(one_at_a_time());
  LoopControl control = current_loops();
  control.serial = true;
  serial_.emplace(control);
}

}  // namespace tessera
