#include "runtime/pass/activation.h"

namespace tessera {
namespace {

// x Sigmoid(alpha x).
std::optional<Activation> silu(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest) {
  return activation(g, uses, n, "Sigmoid", furthest, [&](const Activation& a, Match& m) {
    const bool scaled = a.argument.size() == 1 && a.argument[0].power == std::array{1, 0};
    return m.wants(scaled, "its Sigmoid is of ", to_text(a.argument), ", not of a multiple of x") &&
           m.wants(about(a.y, {{1, {1, 1}}}, g.at(a.x).dtype), "with f its Sigmoid, it is ", to_text(a.y), ", not x f");
  });
}

ValueId write(Edit& edit, const Activation& c) {
  return edit.node("Swish", {c.x}, {{"alpha", static_cast<float>(c.argument[0].coefficient)}});
}

}  // namespace

const PassDef fuse_silu_pass{
    .name = "fuse_silu",
    .doc = "Makes one Swish of x Sigmoid(x) and of x Sigmoid(alpha x), the fast form of GELU among them.",
    .source = "Elfwing et al. 2018, arXiv:1702.03118; Ramachandran et al. 2017, arXiv:1710.05941",
    .run = [](Graph& g, const Registry& registry) { return replace_matches(g, registry, silu, write); },
    .examples = {{"x: f32[2x8]", "Mul(x, Sigmoid(x))", "Swish(x)"},
                 {"x: f32[2x8]", "Mul(x, Sigmoid(Mul(x, 1.702)))", "Swish(x, alpha=1.702)"}},
    .near_misses = [](const Graph& g) { return near_misses(g, silu, {"Sigmoid"}); },
};

}  // namespace tessera
