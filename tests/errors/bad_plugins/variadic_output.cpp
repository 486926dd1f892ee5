// Any number of outputs, of which a shape rule would not know how many to set.
#include "sound.hpp"

constexpr tsr_port outputs[] = {sound::Port{.name = "Y", .types = "=X", .doc = "shape of X", .flags = TSR_VARIADIC}};
constexpr tsr_op ops[] = {[] {
  auto op = sound::op("VariadicOutput");
  op.outputs = outputs;
  return op;
}()};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("variadic_output", ops);
  return &plugin;
}
