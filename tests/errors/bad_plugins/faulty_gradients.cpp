// Loads well and runs; each operator's gradient rule breaks the contract in a way of its own.
#include "sound.hpp"

using namespace sound;

static void another_shape(Gradient& g) { g.set(0, g.node("Flatten", {g.dout(0)}, "axis=0")); }
static void unknown_shape(Gradient& g) { g.set(0, g.node("NonZero", {g.dout(0)})); }
static void one_operand(Gradient& g) { g.set(0, g.node("Mul", {g.dout(0)})); }
static void no_such_axis(Gradient& g) { g.set(0, g.node("Softmax", {g.dout(0)}, "axis=7")); }
static void absent_operand(Gradient& g) { g.set(0, Value() + g.dout(0)); }
static std::int32_t no_handles(const tsr_host* host, tsr_call* call) {
  return host->set_grad(call, 0, host->grad_node(call, "Relu", nullptr, 1, nullptr, 1));
}

constexpr tsr_op with_gradient(const char* name, tsr_function f) {
  auto op = sound::op(name);
  op.flags = 0;
  op.gradient = f;
  return op;
}

constexpr tsr_op ops[] = {
    with_gradient("AnotherShape", guard<another_shape>),   with_gradient("UnknownShape", guard<unknown_shape>),
    with_gradient("OneOperand", guard<one_operand>),       with_gradient("NoSuchAxis", guard<no_such_axis>),
    with_gradient("AbsentOperand", guard<absent_operand>), with_gradient("NoHandles", no_handles)};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("faulty_gradients", ops);
  return &plugin;
}
