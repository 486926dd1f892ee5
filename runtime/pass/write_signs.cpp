// One way to write a sign, so that others need to know one: x (-1) and x / -1 become -x, a + (-b) becomes a - b, and
// a - (-b) a + b. Every bit stays, but the sign of a NaN.
#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

struct Signed {
  NodeId last;
  std::string_view op;
  std::vector<ValueId> in;
  ValueId result;
  std::vector<NodeId> nodes;
};

std::optional<Signed> negation(const Graph& g, NodeId n) {
  const Node& node = g.at(n);
  for (const std::size_t i : {1, 0}) {
    if (i == 0 && node.op->name == "Div") break;
    const Value &x = g.at(node.in[1 - i]), &y = g.at(node.out[0]);
    if (is_filled_with(g, node.in[i], -1) && y.shape && x.shape == y.shape)
      return Signed{n, "Neg", {node.in[1 - i]}, node.out[0], {n}};
  }
  return std::nullopt;
}

// A Neg that others read has to be computed anyway.
std::optional<Signed> difference(const Graph& g, const Uses& uses, NodeId n) {
  const Node& node = g.at(n);
  const bool sum = node.op->name == "Add";
  for (const std::size_t i : {1, 0}) {
    if (i == 0 && !sum) break;
    Match m(g, uses);
    m.add(n);
    const Node* minus = m.by(node.in[i], "Neg");
    if (minus && m.wants_no_other_readers(node.out[0]))
      return Signed{n, sum ? "Sub" : "Add", {node.in[1 - i], minus->in[0]}, node.out[0], m.nodes()};
  }
  return std::nullopt;
}

std::optional<Signed> sign(const Graph& g, const Uses& uses, NodeId n, Furthest*) {
  const Node& node = g.at(n);
  const auto& op = node.op->name;
  if (!node.op->domain.empty() || !dtypes::floats.has(g.at(node.out[0]).dtype)) return std::nullopt;
  if (op == "Mul" || op == "Div") return negation(g, n);
  return op == "Add" || op == "Sub" ? difference(g, uses, n) : std::nullopt;
}

int write_signs(Graph& g, const Registry& registry) {
  return replace_matches(g, registry, sign, [](Edit& edit, const Signed& c) { return edit.node(c.op, c.in); });
}

}  // namespace

const PassDef write_signs_pass{
    .name = "write_signs",
    .doc = "Writes -x for x (-1), a - b for a + (-b) and a + b for a - (-b).",
    .source = "rotary embeddings of transformers and diffusers",
    .run = write_signs,
    .examples = {{"x: f32[2x8]", "Mul(x, -1)", "Neg(x)"},
                 {"a, b: f32[2x8]", "Add(a, Neg(b))", "Sub(a, b)"},
                 {"a, b: f32[2x8]", "Sub(a, Neg(b))", "Add(a, b)"}},
};

}  // namespace tessera
