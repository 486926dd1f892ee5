#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  const float alpha = k.attr.real("alpha"), beta = k.attr.real("beta");
  map<Floats>(k, [alpha, beta](auto x) {
    using C = decltype(x);
    C y = static_cast<C>(alpha) * x + static_cast<C>(beta);
    y = y < 0 ? C{0} : y;  // in this order NaN is kept
    return y > 1 ? C{1} : y;
  });
}

// dx = dy alpha where 0 < y < 1, else 0.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId y = g.out(0), zero = g.scalar_like(y, 0);
  const ValueId inside = g.node("And", {g.node("Greater", {y, zero}), g.node("Less", {y, g.scalar_like(y, 1)})});
  const ValueId sloped = g.node("Mul", {g.dout(0), g.scalar_like(y, g.attr().real("alpha"))});
  return {g.node("Where", {inside, sloped, zero})};
}

}  // namespace

extern constinit const OpDef op_hard_sigmoid = define({
    .name = "HardSigmoid",
    .since = 22,
    .doc = "Y = max(0, min(1, alpha X + beta)), elementwise.",
    .source = "ONNX HardSigmoid-22",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"alpha", AttributeType::real, 0.2f, "slope"}, {"beta", AttributeType::real, 0.5f, "value at 0"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-1, 0, 2, -5, 7} -> {0.3, 0.5, 0.9, 0, 1}", "{-0.5, 1, 2}; alpha=-0.5; beta=0.6 -> {0.85, 0.1, 0}",
                 "{inf, -inf, nan} -> {1, 0, nan}"},
});

}  // namespace tessera
