#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Floats>(k, [](auto x) {
    using C = decltype(x);
    C gate = x * C(1.0 / 6) + C(0.5);
    gate = gate < 0 ? C{0} : gate;
    return x * (gate > 1 ? C{1} : gate);
  });
}

// dx = dy (x / 3 + 1 / 2) where |x| < 3, dy above, 0 below.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), three = g.scalar_like(x, 3), half = g.scalar_like(x, 0.5);
  const ValueId step = g.node("Where", {g.node("Less", {x, three}), g.scalar_like(x, 0), g.scalar_like(x, 1)});
  const ValueId sloped = g.node("Add", {g.node("Div", {x, three}), half});
  const ValueId slope = g.node("Where", {g.node("Less", {g.node("Abs", {x}), three}), sloped, step});
  return {g.node("Mul", {g.dout(0), slope})};
}

}  // namespace

extern constinit const OpDef op_hard_swish = define({
    .name = "HardSwish",
    .since = 22,
    .introduced = 14,
    .doc = "Y = X max(0, min(1, X / 6 + 1 / 2)), elementwise.",
    .source = "ONNX HardSwish-22; Howard et al., ICCV 2019",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0, 2, -5, 7} -> {-0.33333333, 0, 1.6666667, 0, 7}", "{inf, nan} -> {inf, nan}"},
});

}  // namespace tessera
