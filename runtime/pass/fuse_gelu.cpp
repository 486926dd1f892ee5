// GELU as exporters spell it, whatever the order of the factors:
//
//   0.5 x (1 + Erf(x / sqrt 2))
//   0.5 x (1 + Tanh(sqrt(2 / pi) (x + 0.044715 x^3))), also with x (1 + 0.044715 x^2) inside
//
// Powers are products or Pow (T5). Which value is x is not visible in a product of several factors: each is tried.
#include <cmath>
#include <numbers>

#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

constexpr double root_half = 1 / std::numbers::sqrt2, root_two_over_pi = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
constexpr double cubic = 0.044715;
constexpr int most_factors = 64;  // squares of squares must not take forever

// v as constant * x^power * other.
struct Product {
  double constant = 1, power = 0;
  ValueId other = ValueId::none;
  bool holds = true;  // false: more than one other factor
};

class Reader {
 public:
  Reader(const Graph& g, const Uses& uses, ValueId x) : g_(g), m_(g, uses), x_(x), type_(g.at(x).dtype) {}

  // The value of attribute approximate, when v is GELU of x.
  const char* approximate(ValueId v) {
    const Product p = product(v);
    if (!is(p, 0.5, 1) || p.other == ValueId::none) return nullptr;
    const ValueId f = beside_one(p.other);
    if (f == ValueId::none) return nullptr;
    if (const Node* erf = m_.by(f, "Erf")) {
      const Product u = product(erf->in[0]);
      return is(u, root_half, 1) && u.other == ValueId::none ? "none" : nullptr;
    }
    const Node* tanh = m_.by(f, "Tanh");
    return tanh && bend(product(tanh->in[0])) ? "tanh" : nullptr;
  }
  const Match& match() const { return m_; }

 private:
  bool is(const Product& p, double constant, double power) const {
    return p.holds && p.power == power && about(p.constant, constant, type_);
  }

  // sqrt(2 / pi) (x + 0.044715 x^3) or sqrt(2 / pi) x (1 + 0.044715 x^2)
  bool bend(const Product& u) {
    if (u.other == ValueId::none) return false;
    if (is(u, root_two_over_pi, 1)) {
      const ValueId square = beside_one(u.other);
      const Product p = square == ValueId::none ? Product{} : product(square);
      return is(p, cubic, 2) && p.other == ValueId::none;
    }
    const Node* sum = is(u, root_two_over_pi, 0) ? m_.by(u.other, "Add") : nullptr;
    if (!sum || (sum->in[0] != x_ && sum->in[1] != x_)) return false;
    const Product p = product(sum->in[sum->in[0] == x_ ? 1 : 0]);
    return is(p, cubic, 3) && p.other == ValueId::none;
  }

  // f of 1 + f.
  ValueId beside_one(ValueId v) {
    const auto sum = m_.with_constant(v, "Add");
    return sum && sum->value == 1 ? sum->other : ValueId::none;
  }

  Product product(ValueId v) {
    if (++read_ > most_factors) return {.holds = false};
    if (v == x_) return {.power = 1};
    if (const auto c = m_.number(v)) return {.constant = *c};
    if (const Node* n = m_.by(v, "Mul")) return times(product(n->in[0]), product(n->in[1]));
    const std::size_t before = m_.size();
    if (const Node* n = m_.by(v, "Div"))
      if (const auto c = m_.number(n->in[1]); c && *c != 0) return times(product(n->in[0]), {.constant = 1 / *c});
    m_.keep(before);
    if (const Node* n = m_.by(v, "Pow"); n && n->in[0] == x_)
      if (const auto c = m_.number(n->in[1])) return {.power = *c};
    m_.keep(before);
    return {.other = v};
  }
  static Product times(const Product& a, const Product& b) {
    return {.constant = a.constant * b.constant,
            .power = a.power + b.power,
            .other = a.other == ValueId::none ? b.other : a.other,
            .holds = a.holds && b.holds && (a.other == ValueId::none || b.other == ValueId::none)};
  }

  const Graph& g_;
  Match m_;
  const ValueId x_;
  const DType type_;
  int read_ = 0;
};

struct Gelu {
  NodeId last;
  ValueId x, result;
  std::string approximate;
  std::vector<NodeId> nodes;
};

// The factors of a product up to two nodes deep, products themselves too.
void factors(const Graph& g, ValueId v, int depth, std::vector<ValueId>& all) {
  const NodeId n = g.at(v).producer;
  if (n == NodeId::none || depth == 0 || g.at(n).op->name != "Mul") return;
  for (const auto in : g.at(n).in) {
    if (!g.is_constant(in)) all.push_back(in);
    factors(g, in, depth - 1, all);
  }
}

std::optional<Gelu> gelu(const Graph& g, const Uses& uses, NodeId n, std::string& reason) {
  const Node& root = g.at(n);
  if (root.op->name != "Mul" || !root.op->domain.empty()) return std::nullopt;
  std::vector<ValueId> candidates;
  factors(g, root.out[0], 3, candidates);
  for (const ValueId x : candidates) {
    Reader reader(g, uses, x);
    const char* approximate = reader.approximate(root.out[0]);
    if (!approximate || g.at(x).shape != g.at(root.out[0]).shape) continue;
    if (const auto v = reader.match().read_outside(root.out[0])) {
      reason = concat("'", g.at(*v).name, "' inside of it is also read by others");
      continue;
    }
    return Gelu{n, x, root.out[0], approximate, reader.match().nodes()};
  }
  return std::nullopt;
}

ValueId write(Edit& edit, const Gelu& c) { return edit.node("Gelu", {c.x}, {{"approximate", c.approximate}}); }

}  // namespace

const PassDef fuse_gelu_pass{
    .name = "fuse_gelu",
    .doc = "Makes one Gelu of 0.5 x (1 + Erf(x / sqrt 2)) and of its tanh approximation, in any order of the factors.",
    .source = "Hendrycks & Gimpel 2016, arXiv:1606.08415; torch.onnx exports, T5, BERT",
    .run = [](Graph& g, const Registry& registry) { return replace_matches(g, registry, gelu, write); },
    .near_misses = [](const Graph& g) { return near_misses(g, gelu); },
};

}  // namespace tessera
