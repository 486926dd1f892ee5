// A coarse gate, which weighs means of tiles, on a method that has none.
#include <tessera/attention_method.hpp>

using namespace tessera::plugin;

static void forward(FullMethod& f) { f.dense(); }

constexpr tsr_method methods[] = {Method{
    .name = "gated", .doc = "Attends to all.", .source = "none", .coarse_gate = true, .forward = guard<forward>}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "gate_without_tiles", .version = "1", .doc = "Spoilt in one place.", .methods = methods};
  return &plugin;
}
