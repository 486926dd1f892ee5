#include "sound.hpp"

int defined_nowhere();

static void self_test(sound::Call&) { defined_nowhere(); }

constexpr tsr_op ops[] = {sound::op("Undefined")};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = [] {
    auto p = sound::plugin("undefined_symbol", ops);
    p.self_test = sound::guard<self_test>;
    return p;
  }();
  return &plugin;
}
