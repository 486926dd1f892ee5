// Linked with a library that is not there when it is loaded.
#include "sound.hpp"

extern "C" int goes_missing();

static void self_test(sound::Call&) { goes_missing(); }

constexpr tsr_op ops[] = {sound::op("Dependent")};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = [] {
    auto p = sound::plugin("missing_dependency", ops);
    p.self_test = sound::guard<self_test>;
    return p;
  }();
  return &plugin;
}
