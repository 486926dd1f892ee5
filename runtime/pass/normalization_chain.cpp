#include "runtime/pass/normalization_chain.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

constexpr int most_nested = 6;  // nodes between the division and the variance

// Whether x is 1 but for the rounding of constants of type t.
bool is_one(double x, DType t) { return std::abs(x - 1) <= (t == DType::f64 ? 4e-16 : t == DType::f32 ? 2e-7 : 1e-3); }

class Reader {
 public:
  Reader(const Graph& g, const Uses& uses, Norm norm, Furthest* furthest) : g_(g), m_(g, uses, furthest), norm_(norm) {}

  std::optional<NormalizationChain> read(NodeId n) {
    const Node& root = g_.at(n);
    if (root.out.size() != 1 || root.in.size() != 2 || !root.op->domain.empty()) return std::nullopt;
    c_.last = n;
    c_.result = root.out[0];
    m_.add(n);
    if (!(divided(root) || distributed(root)) || !fits()) return std::nullopt;
    extend();
    if (!choose_type() || !m_.wants_no_other_readers(c_.result)) return std::nullopt;
    c_.nodes = m_.nodes();
    return c_;
  }

 private:
  bool known(ValueId v) const { return v != ValueId::none && g_.at(v).shape.has_value(); }
  const Shape& shape(ValueId v) const { return *g_.at(v).shape; }
  DType dtype(ValueId v) const { return g_.at(v).dtype; }
  const std::string& name(ValueId v) const { return g_.at(v).name; }
  bool comes_from(ValueId v, std::string_view op) const {
    return g_.at(v).producer != NodeId::none && g_.at(g_.at(v).producer).op->name == op;
  }

  // What was read before a way that may fail.
  struct Place {
    std::size_t nodes;
    ValueId x, scale;
    double factor;
  };
  Place here() const { return {m_.size(), c_.x, c_.scale, c_.factor}; }
  void back_to(const Place& p) {
    m_.keep(p.nodes);
    c_.x = p.x;
    c_.scale = p.scale;
    c_.factor = p.factor;
  }

  // d / root or d * (1 / root)
  bool divided(const Node& root) {
    const bool quotient = root.op->name == "Div";
    if (!quotient && root.op->name != "Mul") return false;
    const Place before = here();
    for (const std::size_t i : {1, 0}) {
      back_to(before);
      if (quotient && i == 0) return false;
      if (inverse_root(root.in[i], quotient ? -1 : 1) && numerator(root.in[1 - i])) return true;
    }
    return false;
  }

  // x s + (bias - mean s)
  bool distributed(const Node& root) {
    if (norm_ != Norm::layer || root.op->name != "Add") return false;
    const Place before = here();
    for (const unsigned order : {0, 1, 2, 3, 4, 5, 6, 7}) {
      const std::size_t i = order & 1, j = order >> 1 & 1, k = order >> 2;
      back_to(before);
      // Most sums are nothing like it.
      if (!comes_from(root.in[i], "Mul") || !comes_from(root.in[1 - i], "Sub")) continue;
      const Node *scaled = m_.by(root.in[i], "Mul"), *rest = m_.by(root.in[1 - i], "Sub");
      const Node* shift = scaled && rest ? m_.by(rest->in[1], "Mul") : nullptr;
      if (!shift || scaled->in[j] != shift->in[k] || !inverse_root(scaled->in[j], 1)) continue;
      c_.bias = rest->in[0];
      if (centred(scaled->in[1 - j], shift->in[1 - k]) && (squared_ == ValueId::none || is_deviation(squared_)))
        return true;
    }
    c_.bias = ValueId::none;
    return false;
  }

  // v^power is factor * scale / sqrt(variance + epsilon).
  bool inverse_root(ValueId v, double power, int depth = 0) {
    if (depth > most_nested) return false;
    const Place before = here();
    if ((power == -0.5 && variance(v)) || (power == -1 && length(v))) return true;
    for (const auto& [op, inner] : {std::pair("Sqrt", power / 2), std::pair("Reciprocal", -power)}) {
      back_to(before);
      const Node* n = m_.by(v, op);
      if (n && inverse_root(n->in[0], inner, depth + 1)) return true;
    }
    back_to(before);
    const Node* root = m_.by(v, "Pow");
    const auto exponent = root ? m_.number(root->in[1]) : std::nullopt;
    if (exponent && inverse_root(root->in[0], power * *exponent, depth + 1)) return true;
    for (const std::string_view op : {"Div", "Mul"})
      for (const std::size_t i : {1, 0}) {
        back_to(before);
        const double powers[] = {power, op == "Div" ? -power : power};
        const Node* n = m_.by(v, op);
        if (n && inverse_root(n->in[i], powers[i], depth + 1) && factor(n->in[1 - i], powers[1 - i])) return true;
      }
    back_to(before);
    return false;
  }

  bool factor(ValueId v, double power) {
    if (const auto x = m_.number(v)) return c_.factor *= std::pow(*x, power), true;
    if (!m_.wants(power == 1 && c_.scale == ValueId::none, "'", name(v), "' is a factor too many")) return false;
    c_.scale = v;
    return true;
  }

  // mean(d^2) [+ epsilon]
  bool variance(ValueId v) {
    const auto sum = m_.with_constant(v, "Add");
    c_.epsilon = sum ? sum->value : 0;
    if (sum) v = sum->other;
    return mean_square(v) || (norm_ == Norm::layer && moments(v));
  }

  // A value that is `factor` times the mean of `of` along the axes of `node`.
  struct Mean {
    const Node* node;
    ValueId of;
    double factor;
  };
  std::optional<Mean> mean(ValueId v, std::string_view sum = "ReduceSum", int depth = 0) {
    if (depth > most_nested) return std::nullopt;
    const std::size_t before = m_.size();
    if (const auto product = m_.with_constant(v, "Mul"))
      if (auto m = mean(product->other, sum, depth + 1)) return m->factor *= product->value, m;
    m_.keep(before);
    if (const Node* n = m_.by(v, "Div"))
      if (const auto by = m_.number(n->in[1]))
        if (auto m = mean(n->in[0], sum, depth + 1)) return m->factor /= *by, m;
    m_.keep(before);
    if (const Node* n = m_.by(v, sum)) return Mean{n, n->in[0], elements(*n)};
    const Node* n = sum == "ReduceSum" ? m_.by(v, "ReduceMean") : nullptr;
    return n ? std::optional(Mean{n, n->in[0], 1}) : std::nullopt;
  }

  bool mean_square(ValueId v) {
    const std::size_t before = m_.size();
    auto m = mean(v, "ReduceSumSquare");
    squared_ = m ? m->of : ValueId::none;
    if (!m && (m = mean(v))) squared_ = root_of(m->of);
    if (squared_ == ValueId::none) return m_.keep(before), false;
    spread_ = *m;
    return true;
  }

  // The root of v, where v is a square.
  ValueId root_of(ValueId v) {
    if (const Node* n = m_.by(v, "Pow")) return m_.wants_number(n->in[1], 2) ? n->in[0] : ValueId::none;
    const Node* n = m_.by(v, "Mul");
    return n && m_.wants(n->in[0] == n->in[1], "'", name(v), "' is not a square") ? n->in[0] : ValueId::none;
  }

  // sqrt(sum(d^2))
  bool length(ValueId v) {
    const Node* n = m_.by(v, "ReduceL2");
    if (!n) return false;
    squared_ = n->in[0];
    spread_ = {n, squared_, elements(*n)};
    c_.epsilon = 0;
    return true;
  }

  // mean(x^2) - mean(x)^2, perhaps kept from falling below 0
  bool moments(ValueId v) {
    const std::size_t before = m_.size();
    if (const auto most = m_.with_constant(v, "Max"); most && most->value == 0) v = most->other;
    if (const Node* n = m_.by(v, "Relu")) v = n->in[0];
    const Node* n = m_.by(v, "Sub");
    const ValueId centre = n ? root_of(n->in[1]) : ValueId::none;
    if (centre == ValueId::none || !mean_square(n->in[0]) || !centred(squared_, centre) ||
        !m_.wants(is_one(spread_.factor, dtype(v)), "its mean of squares is ", spread_.factor, " times the mean"))
      return m_.keep(before), false;
    squared_ = ValueId::none;  // of x, not of d
    return true;
  }

  // From 0, in order; none where they are not known.
  std::vector<int> axes(const Node& reduction) const {
    std::vector<int> all;
    if (!known(reduction.in[0]) || reduction.in.size() < 2 || !g_.is_constant(reduction.in[1])) return all;
    for (const auto a : integers(g_.at(reduction.in[1]).constant))
      all.push_back(normal_axis(a, shape(reduction.in[0]).rank()));
    std::sort(all.begin(), all.end());
    return all;
  }
  double elements(const Node& reduction) const {
    double n = 1;
    for (const int a : axes(reduction)) n *= static_cast<double>(shape(reduction.in[0])[static_cast<std::size_t>(a)]);
    return n;
  }

  // d, or something by which it is multiplied or divided
  bool numerator(ValueId v) {
    const Place before = here();
    if (is_deviation(v)) return true;
    for (const auto& [op, i] :
         {std::pair("Mul", std::size_t{0}), std::pair("Mul", std::size_t{1}), std::pair("Div", std::size_t{0})}) {
      back_to(before);
      const Node* n = m_.by(v, op);
      if (n && is_deviation(n->in[i]) && factor(n->in[1 - i], n->op->name == "Mul" ? 1 : -1)) return true;
    }
    return false;
  }

  bool is_deviation(ValueId v) {
    const bool squared = squared_ == ValueId::none || m_.before_widening(v) == m_.before_widening(squared_);
    if (!m_.wants(squared, "its mean is of the squares of '", squared ? "" : name(squared_), "', not of '", name(v),
                  "'"))
      return false;
    if (norm_ == Norm::rms) return c_.x = v, true;
    const Node* n = m_.by(m_.before_widening(v), "Sub");
    return n && centred(n->in[0], n->in[1]);
  }

  // Whether x is the one that is normalised, and `centre` its mean.
  bool centred(ValueId x, ValueId centre) {
    if (c_.x != ValueId::none)
      return m_.wants(m_.before_widening(x) == m_.before_widening(c_.x) && centre == centre_, "it subtracts '",
                      name(centre), "', its variance is about '", name(centre_), "'");
    const auto m = mean(centre);
    if (!m ||
        !m_.wants(m_.before_widening(m->of) == m_.before_widening(x), "'", name(centre), "' is not the mean of '",
                  name(x), "'") ||
        !m_.wants(is_one(m->factor, dtype(x)), "'", name(centre), "' is ", m->factor, " times the mean"))
      return false;
    c_.x = x;
    centre_ = centre;
    centring_ = m->node;
    return true;
  }

  // The axes are the last ones and the statistics keep them; numbers are gathered, and what is multiplied fits.
  bool fits() {
    if (!m_.wants(known(c_.x) && known(c_.result), "the shape of '", name(c_.x), "' is not known") ||
        !m_.wants(shape(c_.result) == shape(c_.x), "its constants are larger than '", name(c_.x), "'"))
      return false;
    const int rank = shape(c_.x).rank();
    for (const Node* mean : {spread_.node, centring_}) {
      if (!mean) continue;
      const std::vector<int> reduced = axes(*mean);
      if (!m_.wants(AttributeReader(mean->op->attributes, mean->attributes).flag("keepdims") && !reduced.empty(), "'",
                    mean->name, "' drops the axes it is taken over, or they are not constant"))
        return false;
      const bool last = reduced.back() == rank - 1 && reduced.back() - reduced.front() + 1 == std::ssize(reduced);
      if (!m_.wants(last && (mean != centring_ || reduced.front() == c_.axis), "'", mean->name,
                    "' is not over the last axes, or not over those of the other mean"))
        return false;
      c_.axis = reduced.front();
    }
    c_.epsilon /= spread_.factor;
    c_.factor /= std::sqrt(spread_.factor);
    if (is_one(c_.factor, dtype(c_.result))) c_.factor = 1;
    if (!m_.wants(std::isfinite(c_.factor) && std::isfinite(c_.epsilon), "its constants are not finite")) return false;
    for (const ValueId v : {c_.scale, c_.bias})
      if (v != ValueId::none &&
          !m_.wants(known(v) && broadcasts_to(shape(v), shape(c_.x)) && dtype(v) == dtype(c_.result), "'", name(v),
                    "' is larger than '", name(c_.x), "' or of another type"))
        return false;
    return true;
  }

  // What is multiplied and added right after, when it broadcasts to x.
  void extend() {
    cast_back();
    const DType type = dtype(c_.result);
    const auto other = [&](std::string_view op) {
      const NodeId r = m_.only_reader(c_.result);
      if (r == NodeId::none || g_.at(r).op->name != op || !g_.at(r).op->domain.empty()) return ValueId::none;
      const Node& n = g_.at(r);
      const ValueId v = n.in[n.in[0] == c_.result ? 1 : 0];
      if (v == c_.result || !known(v) || shape(n.out[0]) != shape(c_.x) || dtype(v) != type) return ValueId::none;
      m_.add(r);
      c_.last = r;
      c_.result = n.out[0];
      return v;
    };
    if (c_.scale == ValueId::none && c_.bias == ValueId::none) c_.scale = other("Mul");
    if (c_.bias == ValueId::none && norm_ == Norm::layer) c_.bias = other("Add");
    if (c_.scale != ValueId::none) cast_back();
  }

  // A Cast back to the type that x had before it was widened.
  void cast_back() {
    const NodeId r = m_.only_reader(c_.result);
    if (r == NodeId::none || g_.at(r).op->name != "Cast") return;
    const ValueId narrow = Match(m_).before_widening(c_.x);
    if (narrow == c_.x || dtype(g_.at(r).out[0]) != dtype(narrow)) return;
    for (const ValueId v : {c_.scale, c_.bias})
      if (v != ValueId::none && dtype(v) != dtype(narrow)) return;
    m_.add(r);
    c_.last = r;
    c_.result = g_.at(r).out[0];
  }

  // LayerNormalization takes and gives one type; RMSNormalization gives the type of its scale.
  bool choose_type() {
    const ValueId narrow = Match(m_).before_widening(c_.x);
    if (norm_ == Norm::rms || dtype(narrow) == dtype(c_.result)) {
      c_.x = m_.before_widening(c_.x);
      return true;
    }
    for (ValueId v = c_.x; v != narrow; v = g_.at(g_.at(v).producer).in[0]) m_.remove(g_.at(v).producer);
    return m_.wants(dtype(c_.x) == dtype(c_.result), "it turns ", dtype(narrow), " into ", dtype(c_.result));
  }

  const Graph& g_;
  Match m_;
  const Norm norm_;
  NormalizationChain c_;
  Mean spread_{};                    // of the squares
  ValueId squared_ = ValueId::none;  // what they are the squares of; none: of x, for a variance by moments
  ValueId centre_ = ValueId::none;   // the mean of x
  const Node* centring_ = nullptr;   // its reduction
};

}  // namespace

template <Norm norm>
std::optional<NormalizationChain> normalization_chain(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest) {
  return Reader(g, uses, norm, furthest).read(n);
}
template std::optional<NormalizationChain> normalization_chain<Norm::layer>(const Graph&, const Uses&, NodeId,
                                                                            Furthest*);
template std::optional<NormalizationChain> normalization_chain<Norm::rms>(const Graph&, const Uses&, NodeId, Furthest*);

ValueId scale_of(Edit& edit, const NormalizationChain& c) {
  if (c.factor == 1) return c.scale;
  if (c.scale == ValueId::none) return even_scale(edit, c, c.factor);
  return edit.node("Mul", {c.scale, edit.scalar_like(c.scale, c.factor)});
}

ValueId even_scale(Edit& edit, const NormalizationChain& c, double x) {
  const std::vector<double> row(static_cast<std::size_t>(edit.shape(c.x)->back()), x);
  return edit.constant(converted(Tensor::vector<double>(row), edit.dtype(c.result)));
}

}  // namespace tessera
