// y = LayerNorm(x) * m + a, or RMSNorm(x) * m, becomes the norm with scale w m and bias b m + a: two sweeps over the
// data become work on the small operands. Adaptive layer norm (adaLN) of diffusion transformers is m = 1 + scale, a =
// shift. A norm that is modulated several times (the dual attention of SD 3.5) becomes as many norms: computing the
// statistics again costs less than writing the plain norm and reading it again for each.
#include <algorithm>

#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

struct Modulation {
  NodeId last, norm;
  ValueId times = ValueId::none, plus = ValueId::none, result;
  std::vector<NodeId> nodes;
};

// Reads forward from a norm: [Mul] [Add], each with an operand smaller than x.
class Reader {
 public:
  Reader(const Graph& g, const Uses& uses, Furthest* furthest) : g_(g), uses_(uses), m_(g, uses, furthest) {}

  // Where node n is the first of them.
  std::optional<Modulation> read(NodeId n) {
    for (const ValueId v : g_.at(n).in)
      if (is_norm(v) && modulated(v, n)) return c_;
    return std::nullopt;
  }

 private:
  bool is_norm(ValueId v) const {
    if (v == ValueId::none || g_.at(v).producer == NodeId::none) return false;
    const Node& n = g_.at(g_.at(v).producer);
    const bool alone = std::count(n.out.begin(), n.out.end(), ValueId::none) + 1 == std::ssize(n.out);
    return (n.op->name == "LayerNormalization" || n.op->name == "RMSNormalization") && n.op->domain.empty() &&
           n.out[0] == v && alone;
  }
  // RMSNormalization has no bias.
  bool has_bias(ValueId v) const { return g_.at(g_.at(v).producer).op->name == "LayerNormalization"; }

  bool modulated(ValueId v, NodeId n) {
    m_.keep(0);
    m_.add(g_.at(v).producer);
    if (!modulates(n, v, "Mul") && !(has_bias(v) && modulates(n, v, "Add"))) return false;
    m_.add(n);
    for (const NodeId other : uses_.of[index(v)])
      if (!modulates(other, v, "Mul") && !(has_bias(v) && modulates(other, v, "Add")))
        return m_.wants(false, "'", g_.at(v).name, "' is also read by '", g_.at(other).name,
                        "', which needs it as it is");
    if (!m_.wants(uses_.as_output[index(v)] == 0, "'", g_.at(v).name, "' is also an output")) return false;
    c_ = {.last = n, .norm = g_.at(v).producer, .result = v, .nodes = {}};
    if (uses_.of[index(v)].size() == 1) c_.nodes.push_back(c_.norm);
    c_.times = take(n, "Mul");
    if (has_bias(v)) c_.plus = take(c_.times == ValueId::none ? n : m_.only_reader(c_.result), "Add");
    return true;
  }

  // Whether node n multiplies v by something much smaller, or adds it.
  bool modulates(NodeId n, ValueId v, std::string_view op) {
    if (n == NodeId::none || g_.at(n).op->name != op || !g_.at(n).op->domain.empty()) return false;
    const ValueId by = operand(n, v);
    const auto &small = g_.at(by).shape, &full = g_.at(v).shape;
    return small && full && g_.at(g_.at(n).out[0]).shape == full &&
           m_.wants(2 * count(*small) <= count(*full), "'", g_.at(by).name, "' has ", count(*small),
                    " elements, too many beside the ", count(*full), " of '", g_.at(v).name, "'");
  }
  ValueId operand(NodeId n, ValueId v) const { return g_.at(n).in[g_.at(n).in[0] == v ? 1 : 0]; }

  ValueId take(NodeId n, std::string_view op) {
    if (!modulates(n, c_.result, op)) return ValueId::none;
    const ValueId by = operand(n, c_.result);
    c_.nodes.push_back(c_.last = n);
    c_.result = g_.at(n).out[0];
    return by;
  }

  const Graph& g_;
  const Uses& uses_;
  Match m_;
  Modulation c_{};
};

std::optional<Modulation> modulation(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest) {
  return Reader(g, uses, furthest).read(n);
}

int fuse_modulation(Graph& g, const Registry& registry) {
  return replace_matches(g, registry, modulation, [&g](Edit& edit, const Modulation& c) {
    const Node norm = g.at(c.norm);
    const auto input = [&](std::size_t i) { return i < norm.in.size() ? norm.in[i] : ValueId::none; };
    // An operand that is absent, or does nothing, costs nothing.
    const auto combine = [&](std::string_view op, ValueId a, ValueId b, double neutral) {
      if (a == ValueId::none || (b != ValueId::none && is_filled_with(g, a, neutral))) return b;
      return b == ValueId::none ? a : edit.node(op, {a, b});
    };
    const ValueId scale = combine("Mul", input(1), c.times, 1);
    ValueId bias = input(2);
    if (bias != ValueId::none && is_filled_with(g, bias, 0)) bias = ValueId::none;
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
        "tensors do right after it (adaptive layer norm), in a norm for each where there are several.",
    .source = "Peebles & Xie 2023, arXiv:2212.09748 (adaLN)",
    .run = fuse_modulation,
    .examples = {{"x: f32[1x4x8], scale, shift: f32[1x1x8]", "Add(Mul(LayerNormalization(x, 1), Add(scale, 1)), shift)",
                  "LayerNormalization(x, Add(scale, 1), shift)"},
                 {"x: f32[1x4x8], w: f32[8], scale: f32[1x1x8]", "Mul(RMSNormalization(x, w), scale)",
                  "RMSNormalization(x, Mul(w, scale))"},
                 {"x: f32[1x4x8], a, b: f32[1x1x8]", "y = LayerNormalization(x, 1); Mul(y, a), Mul(y, b)",
                  "LayerNormalization(x, a), LayerNormalization(x, b)"}},
    .near_misses =
        [](const Graph& g) {
          return near_misses(g, modulation, {"LayerNormalization", "RMSNormalization"});
        },
};

}  // namespace tessera
