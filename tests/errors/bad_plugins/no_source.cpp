#include "sound.hpp"

constexpr tsr_op ops[] = {[] {
  auto op = sound::op("Silent");
  op.source = "";
  return op;
}()};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("no_source", ops);
  return &plugin;
}
