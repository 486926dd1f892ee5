// Loads, but does not do what its documentation says, and says so itself.
#include "sound.hpp"

static void self_test(sound::Call&) { throw std::runtime_error("the table of constants is empty"); }

constexpr const char* examples[] = {"{1, 2} -> {1, 3}"};
constexpr tsr_op ops[] = {[] {
  auto op = sound::op("WrongExample");
  op.examples = examples;
  op.example_count = 1;
  return op;
}()};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = [] {
    auto p = sound::plugin("wrong_example", ops);
    p.self_test = sound::guard<self_test>;
    return p;
  }();
  return &plugin;
}
