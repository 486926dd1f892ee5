// The name of a method that is built in.
#include <tessera/attention_method.hpp>

using namespace tessera::plugin;

static void forward(FullMethod& f) { f.dense(); }

constexpr tsr_method methods[] = {
    Method{.name = "dense", .doc = "Attends to all.", .source = "none", .forward = guard<forward>}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "taken_method", .version = "1", .doc = "Spoilt in one place.", .methods = methods};
  return &plugin;
}
