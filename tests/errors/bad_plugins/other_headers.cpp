#include "sound.hpp"

constexpr tsr_op ops[] = {[] {
  auto op = sound::op("OtherHeaders");
  op.size -= 8;
  return op;
}()};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("other_headers", ops);
  return &plugin;
}
