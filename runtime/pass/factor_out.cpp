// a + a b = a (1 + b), where b is smaller than a: one sweep over the data less, and a modulation that fuse_modulation
// knows (x + x scale + shift, as some adaptive layer norms are written). Rounded twice, as before, and nearer to the
// truth where b is near -1. Where a is infinite and b negative, infinity - infinity was NaN and now keeps its sign.
#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

struct Factored {
  NodeId last;
  ValueId factor, other, result;
  std::vector<NodeId> nodes;
};

std::optional<Factored> common_factor(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest) {
  const Node& root = g.at(n);
  if (root.op->name != "Add" || !root.op->domain.empty() || !dtypes::floats.has(g.at(root.out[0]).dtype))
    return std::nullopt;
  for (const std::size_t i : {0, 1}) {
    Match m(g, uses, furthest);
    m.add(n);
    const ValueId a = root.in[i];
    const Node* product = m.by(root.in[1 - i], "Mul");
    if (!product || (product->in[0] != a && product->in[1] != a)) continue;
    const ValueId b = product->in[product->in[0] == a ? 1 : 0];
    const auto &full = g.at(a).shape, &small = g.at(b).shape;
    if (!m.wants(full && small && full == g.at(root.out[0]).shape && 2 * count(*small) <= count(*full), "'",
                 g.at(b).name, "' is not much smaller than '", g.at(a).name, "'") ||
        !m.wants_no_other_readers(root.out[0]))
      continue;
    return Factored{n, a, b, root.out[0], m.nodes()};
  }
  return std::nullopt;
}

ValueId write(Edit& edit, const Factored& c) {
  return edit.node("Mul", {c.factor, edit.node("Add", {c.other, edit.scalar_like(c.other, 1)})});
}

}  // namespace

const PassDef factor_out_pass{
    .name = "factor_out",
    .doc = "Writes a (1 + b) for a + a b, where b is much smaller than a.",
    .source = "adaptive layer norm written as x + x scale + shift",
    .run = [](Graph& g, const Registry& registry) { return replace_matches(g, registry, common_factor, write); },
    .examples = {{"x: f32[2x30x8], scale: f32[2x1x8]", "Add(x, Mul(x, scale))", "Mul(x, Add(scale, 1))"}},
};

}  // namespace tessera
