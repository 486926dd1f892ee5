// 1 / (1 + e^-x) is Sigmoid(x), and a / (1 + e^-x) is a Sigmoid(x). Where e^-x overflows, a / infinity is 0 and
// a Sigmoid(x) what it should be: at most a e^x. NaN and infinities come out where they came out before.
#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

struct Logistic {
  NodeId last;
  ValueId x, times, result;  // times: none for 1
  std::vector<NodeId> nodes;
};

std::optional<Logistic> logistic(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest) {
  const Node& root = g.at(n);
  const bool quotient = root.op->name == "Div";
  if (!root.op->domain.empty() || (!quotient && root.op->name != "Reciprocal")) return std::nullopt;
  Match m(g, uses, furthest);
  m.add(n);
  const auto sum = m.with_constant(root.in[quotient ? 1 : 0], "Add");
  const Node* exp = sum ? m.by(sum->other, "Exp") : nullptr;
  const Node* minus = exp ? m.by(exp->in[0], "Neg") : nullptr;
  if (!minus || !m.wants(sum->value == 1, "it adds ", sum->value, ", not 1") ||
      !m.wants(is_shaped_like(g, root.in[quotient ? 1 : 0], minus->in[0]), "its 1 is larger than its x") ||
      !m.wants_no_other_readers(root.out[0]))
    return std::nullopt;
  const bool times_one = !quotient || (m.number(root.in[0]) == 1.0 && is_shaped_like(g, root.out[0], minus->in[0]));
  return Logistic{n, minus->in[0], times_one ? ValueId::none : root.in[0], root.out[0], m.nodes()};
}

ValueId write(Edit& edit, const Logistic& c) {
  const ValueId y = edit.node("Sigmoid", {c.x});
  return c.times == ValueId::none ? y : edit.node("Mul", {c.times, y});
}

}  // namespace

const PassDef write_sigmoid_pass{
    .name = "write_sigmoid",
    .doc = "Writes Sigmoid(x) for 1 / (1 + Exp(-x)), and a product with it for a / (1 + Exp(-x)).",
    .source = "SiLU and gates as Keras, JAX and hand-written models export them",
    .run = [](Graph& g, const Registry& registry) { return replace_matches(g, registry, logistic, write); },
    .examples = {{"x: f32[2x8]", "Div(1, Add(1, Exp(Neg(x))))", "Sigmoid(x)"},
                 {"x: f32[2x8]", "Div(x, Add(1, Exp(Neg(x))))", "Mul(x, Sigmoid(x))"}},
    .near_misses = [](const Graph& g) { return near_misses(g, logistic, {"Exp"}); },
};

}  // namespace tessera
