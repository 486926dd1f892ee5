#include "sound.hpp"

constexpr tsr_op ops[] = {sound::op("TooNew")};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = [] {
    auto p = sound::plugin("too_new", ops);
    p.abi_version = TSR_ABI_VERSION + 1;
    return p;
  }();
  return &plugin;
}
