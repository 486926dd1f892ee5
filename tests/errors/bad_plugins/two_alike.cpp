#include "sound.hpp"

constexpr tsr_op ops[] = {sound::op("Alike"), sound::op("Alike")};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("two_alike", ops);
  return &plugin;
}
