// A default that is an empty string, which is neither a value nor the absence of one.
#include "sound.hpp"

constexpr tsr_parameter attributes[] = {
    sound::Parameter{.name = "mode", .type = TSR_TEXT, .fallback = "", .doc = "never used"}};
constexpr tsr_op ops[] = {[] {
  auto op = sound::op("EmptyDefault");
  op.attributes = attributes;
  op.attribute_count = 1;
  return op;
}()};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("empty_default", ops);
  return &plugin;
}
