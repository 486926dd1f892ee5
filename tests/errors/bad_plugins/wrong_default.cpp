// A default out of its own range.
#include "sound.hpp"

constexpr tsr_parameter attributes[] = {
    sound::Parameter{.name = "alpha", .type = TSR_INTEGER, .fallback = "7", .low = 0, .high = 5, .doc = "never used"}};
constexpr tsr_op ops[] = {[] {
  auto op = sound::op("WrongDefault");
  op.attributes = attributes;
  op.attribute_count = 1;
  return op;
}()};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("wrong_default", ops);
  return &plugin;
}
