// A version that no model can import.
#include "sound.hpp"

constexpr tsr_op ops[] = {[] {
  auto op = sound::op("FarVersion");
  op.since = 3'000'000'000;
  return op;
}()};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("far_version", ops);
  return &plugin;
}
