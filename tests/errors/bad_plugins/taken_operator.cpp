// The name of an operator that plugin swish has.
#include "sound.hpp"

constexpr tsr_op ops[] = {[] {
  auto op = sound::op("Swish");
  op.domain = "com.example";
  return op;
}()};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("taken_operator", ops);
  return &plugin;
}
