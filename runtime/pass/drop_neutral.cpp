// What exporters write because the source has it: torch.addcmul multiplies by value = 1, layers scale by 1 or add 0.
// Every bit stays; of floats, x + 0 does not count, since -0 + 0 is +0.
#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

struct Neutral {
  NodeId last;
  ValueId x, result;
  std::vector<NodeId> nodes;
};

std::optional<Neutral> neutral(const Graph& g, const Uses&, NodeId n, Furthest*) {
  const Node& node = g.at(n);
  const auto& op = node.op->name;
  if (!node.op->domain.empty() || node.in.size() != 2) return std::nullopt;
  const bool product = op == "Mul", sum = op == "Add" && !dtypes::floats.has(g.at(node.out[0]).dtype);
  if (!product && !sum && op != "Div" && op != "Sub" && op != "Pow") return std::nullopt;
  for (const std::size_t i : {1, 0}) {
    if (i == 0 && !product && !sum) break;
    const Value &x = g.at(node.in[1 - i]), &y = g.at(node.out[0]);
    if (is_filled_with(g, node.in[i], sum || op == "Sub" ? 0 : 1) && y.shape && x.shape == y.shape &&
        x.dtype == y.dtype)
      return Neutral{n, node.in[1 - i], node.out[0], {n}};
  }
  return std::nullopt;
}

int drop_neutral(Graph& g, const Registry& registry) {
  return replace_matches(g, registry, neutral, [](Edit&, const Neutral& c) { return c.x; });
}

}  // namespace

const PassDef drop_neutral_pass{
    .name = "drop_neutral",
    .doc = "Removes arithmetic that changes no bit: times or over ones, minus zeros, to the power of one.",
    .source = "torch.addcmul as exported (adaptive layer norm of diffusers); identities of arithmetic",
    .run = drop_neutral,
    .examples = {{"x: f32[2x8]", "Neg(Mul(1, x))", "Neg(x)"}, {"x: f32[2x8]", "Neg(Sub(Div(x, 1), 0))", "Neg(x)"}},
};

}  // namespace tessera
