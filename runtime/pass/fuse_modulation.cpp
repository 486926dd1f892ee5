// y = LayerNorm(x) * m + a, or RMSNorm(x) * m, becomes the norm with scale w m and bias b m + a: two sweeps over the
// data become work on the small operands. Adaptive layer norm (adaLN) of diffusion transformers is m = 1 + scale, a =
// shift.
#include <algorithm>

#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

bool all_equal(const Graph& g, ValueId v, double x) {
  if (!g.is_constant(v)) return false;
  const auto values = doubles(g.at(v).constant);
  return std::all_of(values.begin(), values.end(), [x](double y) { return y == x; });
}

struct Modulation {
  NodeId last;
  ValueId times = ValueId::none, plus = ValueId::none, result;
  std::vector<NodeId> nodes;
};

// Reads forward from a norm: [Mul] [Add], each the only reader of what comes before and with an operand smaller than x.
class Reader {
 public:
  Reader(const Graph& g, const Uses& uses) : g_(g), m_(g, uses) {}

  std::optional<Modulation> read(NodeId norm) {
    const Node& n = g_.at(norm);
    const bool layer = n.op->name == "LayerNormalization", rms = n.op->name == "RMSNormalization";
    if ((!layer && !rms) || !n.op->domain.empty() || !only_first_output(n)) return std::nullopt;
    c_.result = n.out[0];
    c_.nodes.push_back(norm);
    c_.times = operand("Mul");
    if (layer) c_.plus = operand("Add");
    if (c_.nodes.size() == 1) return std::nullopt;
    c_.last = c_.nodes.back();
    return c_;
  }

 private:
  static bool only_first_output(const Node& n) {
    return std::count(n.out.begin(), n.out.end(), ValueId::none) + 1 == static_cast<std::ptrdiff_t>(n.out.size());
  }

  ValueId operand(std::string_view op) {
    const NodeId reader = m_.only_reader(c_.result);
    if (reader == NodeId::none) return ValueId::none;
    const Node& n = g_.at(reader);
    if (n.op->name != op || !n.op->domain.empty()) return ValueId::none;
    const ValueId v = n.in[n.in[0] == c_.result ? 1 : 0];
    const auto &small = g_.at(v).shape, &full = g_.at(c_.result).shape;
    if (!small || !full || g_.at(n.out[0]).shape != full || 2 * count(*small) > count(*full)) return ValueId::none;
    c_.nodes.push_back(reader);
    c_.result = n.out[0];
    return v;
  }

  const Graph& g_;
  const Match m_;
  Modulation c_;
};

std::optional<Modulation> modulation(const Graph& g, const Uses& uses, NodeId n, std::string&) {
  return Reader(g, uses).read(n);
}

bool fuse_modulation(Graph& g, const Registry& registry) {
  return replace_matches(g, registry, modulation, [&g](Edit& edit, const Modulation& c) {
    const Node norm = g.at(c.nodes[0]);
    const auto input = [&](std::size_t i) { return i < norm.in.size() ? norm.in[i] : ValueId::none; };
    // An operand that is absent, or does nothing, costs nothing.
    const auto combine = [&](std::string_view op, ValueId a, ValueId b, double neutral) {
      if (a == ValueId::none || (b != ValueId::none && all_equal(g, a, neutral))) return b;
      return b == ValueId::none ? a : edit.node(op, {a, b});
    };
    const ValueId scale = combine("Mul", input(1), c.times, 1);
    ValueId bias = input(2);
    if (bias != ValueId::none && all_equal(g, bias, 0)) bias = ValueId::none;
    if (bias != ValueId::none) bias = combine("Mul", bias, c.times, 1);
    std::vector<ValueId> in{input(0), scale, combine("Add", bias, c.plus, 0)};
    while (in.back() == ValueId::none) in.pop_back();
    return edit.node(norm.op->name, std::move(in), norm.attributes);
  });
}

}  // namespace

const PassDef fuse_modulation_pass{
    .name = "fuse_modulation",
    .doc =
        "Lets the scale and bias of a LayerNormalization or RMSNormalization do what a Mul and an Add by smaller "
        "tensors do right after it (adaptive layer norm).",
    .source = "Peebles & Xie 2023, arXiv:2212.09748 (adaLN)",
    .run = fuse_modulation,
};

}  // namespace tessera
