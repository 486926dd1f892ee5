#include "runtime/pass/polynomial.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr std::size_t most_terms = 8;
constexpr int most_nodes = 64;  // squares of squares must not take forever
constexpr int highest_power = 8;

class Reader {
 public:
  Reader(const Graph& g, Match& m, const Variables& variables) : g_(g), m_(m), variables_(variables) {}

  std::optional<Polynomial> read(ValueId v) {
    if (++read_ > most_nodes) return std::nullopt;
    if (v == variables_.x) return Polynomial{{1, {1, 0}}};
    if (v == variables_.f) return Polynomial{{1, {0, 1}}};
    if (const auto c = m_.number(v)) return Polynomial{{*c, {0, 0}}};
    const NodeId id = g_.at(v).producer;
    if (id == NodeId::none || !g_.at(id).op->domain.empty()) return std::nullopt;
    m_.add(id);
    return computed(g_.at(id));
  }

 private:
  std::optional<Polynomial> computed(const Node& n) {
    const auto& op = n.op->name;
    if (op == "Neg") return scaled(read(n.in[0]), -1);
    if (op == "Pow") return power(n);
    if (op == "Div") {
      const auto by = m_.number(n.in[1]);
      return by && *by != 0 ? scaled(read(n.in[0]), 1 / *by) : std::nullopt;
    }
    if (op != "Add" && op != "Sub" && op != "Mul") return std::nullopt;
    auto a = read(n.in[0]), b = a ? read(n.in[1]) : std::nullopt;
    if (!b) return std::nullopt;
    if (op == "Mul") return product(*a, *b);
    return sum(std::move(*a), op == "Sub" ? *scaled(std::move(b), -1) : *b);
  }

  std::optional<Polynomial> power(const Node& n) {
    const auto exponent = m_.number(n.in[1]);
    if (!exponent || !(*exponent >= 1 && *exponent <= highest_power)) return std::nullopt;
    const auto base = read(n.in[0]);
    auto p = base;
    int times = static_cast<int>(*exponent);
    if (times != *exponent) return std::nullopt;
    while (p && --times > 0) p = product(*p, *base);
    return p;
  }

  static std::optional<Polynomial> scaled(std::optional<Polynomial> p, double c) {
    if (p)
      for (auto& t : *p) t.coefficient *= c;
    return p;
  }

  static std::optional<Polynomial> sum(Polynomial a, const Polynomial& b) {
    for (const Term& t : b) {
      const auto same = std::find_if(a.begin(), a.end(), [&](const Term& u) { return u.power == t.power; });
      if (same == a.end())
        a.push_back(t);
      else
        same->coefficient += t.coefficient;
    }
    if (a.size() > most_terms) return std::nullopt;
    return a;
  }

  static std::optional<Polynomial> product(const Polynomial& a, const Polynomial& b) {
    std::optional<Polynomial> all = Polynomial{};
    for (const Term& s : a)
      for (const Term& t : b) {
        const Term both{s.coefficient * t.coefficient, {s.power[0] + t.power[0], s.power[1] + t.power[1]}};
        if (both.power[0] > highest_power || both.power[1] > highest_power) return std::nullopt;
        all = sum(std::move(*all), {both});
        if (!all) return std::nullopt;
      }
    return all;
  }

  const Graph& g_;
  Match& m_;
  const Variables variables_;
  int read_ = 0;
};

}  // namespace

std::optional<Polynomial> polynomial(const Graph& g, Match& m, ValueId v, const Variables& variables) {
  return Reader(g, m, variables).read(v);
}

bool about(const Polynomial& p, const Polynomial& expected, DType t) {
  return p.size() == expected.size() && std::all_of(p.begin(), p.end(), [&](const Term& is) {
           return std::any_of(expected.begin(), expected.end(), [&](const Term& e) {
             return e.power == is.power && about(is.coefficient, e.coefficient, t);
           });
         });
}

std::string to_text(const Polynomial& p) {
  std::string text;
  for (const Term& t : p) {
    text += text.empty() ? "" : " + ";
    const bool factor = t.coefficient != 1 || t.power == std::array{0, 0};
    if (factor) text += concat(t.coefficient);
    for (const std::size_t i : {0, 1}) {
      if (t.power[i] == 0) continue;
      text += concat(factor || (i == 1 && t.power[0] != 0) ? " " : "", i == 0 ? "x" : "f");
      if (t.power[i] > 1) text += concat("^", t.power[i]);
    }
  }
  return text;
}

}  // namespace tessera
