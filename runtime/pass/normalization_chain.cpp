#include "runtime/pass/normalization_chain.h"

#include <algorithm>

namespace tessera {
namespace {

class Reader {
 public:
  Reader(const Graph& g, const Uses& uses, Norm norm) : g_(g), m_(g, uses), norm_(norm) {}

  std::optional<NormalizationChain> read(NodeId n, std::string& reason) {
    const Node& root = g_.at(n);
    if (root.out.size() != 1 || root.in.size() != 2 || !root.op->domain.empty()) return std::nullopt;
    c_.last = n;
    c_.result = root.out[0];
    m_.add(n);
    if (!divided(root)) return std::nullopt;
    if (!fits(reason)) return std::nullopt;
    extend();
    choose_type();
    if (reason_.empty())
      if (const auto v = m_.read_outside(c_.result))
        reason_ = concat("'", g_.at(*v).name, "' inside of it is also read by others");
    reason = reason_;
    if (!reason.empty()) return std::nullopt;
    c_.nodes = m_.nodes();
    return c_;
  }

 private:
  const Shape& shape(ValueId v) const { return *g_.at(v).shape; }
  DType dtype(ValueId v) const { return g_.at(v).dtype; }

  // root = d / sqrt(..) or d * (1 / sqrt(..))
  bool divided(const Node& root) {
    const std::size_t before = m_.size();
    if (root.op->name == "Div") return square_root(root.in[1]) && numerator(root.in[0]);
    if (root.op->name != "Mul") return false;
    for (const std::size_t i : {0, 1}) {
      if (inverse_root(root.in[i]) && numerator(root.in[1 - i])) return true;
      m_.keep(before);
    }
    return false;
  }

  bool inverse_root(ValueId v) {
    if (const Node* n = m_.by(v, "Reciprocal")) return square_root(n->in[0]);
    if (const Node* n = m_.by(v, "Div")) return m_.number(n->in[0]) == 1.0 && square_root(n->in[1]);
    const Node* n = m_.by(v, "Pow");
    return n && m_.number(n->in[1]) == -0.5 && variance(n->in[0]);
  }

  bool square_root(ValueId v) {
    if (const Node* n = m_.by(v, "Sqrt")) return variance(n->in[0]);
    const Node* n = m_.by(v, "Pow");
    return n && m_.number(n->in[1]) == 0.5 && variance(n->in[0]);
  }

  // mean(d^2) + epsilon
  bool variance(ValueId v) {
    const auto sum = m_.with_constant(v, "Add");
    if (!sum) return false;
    c_.epsilon = sum->value;
    mean_ = m_.by(sum->other, "ReduceMean");
    if (!mean_) return false;
    if (const Node* n = m_.by(mean_->in[0], "Pow")) {
      squared_ = n->in[0];
      return m_.number(n->in[1]) == 2.0;
    }
    const Node* n = m_.by(mean_->in[0], "Mul");
    squared_ = n ? n->in[0] : ValueId::none;
    return n && n->in[0] == n->in[1];
  }

  bool numerator(ValueId d) {
    if (m_.before_widening(d) != m_.before_widening(squared_)) return false;
    if (norm_ == Norm::rms) return c_.x = d, true;
    const Node* centred = m_.by(m_.before_widening(d), "Sub");
    if (!centred) return false;
    centre_ = m_.by(centred->in[1], "ReduceMean");
    c_.x = centred->in[0];
    return centre_ && m_.before_widening(centre_->in[0]) == m_.before_widening(c_.x);
  }

  // The axes are the last ones and the statistics keep them.
  bool fits(std::string& reason) {
    for (const Node* mean : {mean_, centre_}) {
      if (!mean) continue;
      if (!g_.at(c_.x).shape) return false;
      const int rank = shape(c_.x).rank();
      const bool listed = mean->in.size() > 1 && g_.is_constant(mean->in[1]);
      if (!AttributeReader(mean->op->attributes, mean->attributes).flag("keepdims") || !listed)
        return reason = "its mean drops the axes it is taken over, or they are not constant", false;
      std::vector<char> reduced(static_cast<std::size_t>(rank));
      for (const auto a : integers(g_.at(mean->in[1]).constant))
        reduced[static_cast<std::size_t>(a < 0 ? a + rank : a)] = 1;
      int axis = rank;
      while (axis > 0 && reduced[static_cast<std::size_t>(axis) - 1]) --axis;
      const bool last_ones = std::count(reduced.begin(), reduced.end(), 1) == rank - axis && axis < rank;
      if (!last_ones || (mean == centre_ && axis != c_.axis))
        return reason = "its means are not over the last axes", false;
      c_.axis = axis;
    }
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
      if (v == c_.result || !g_.at(v).shape || shape(n.out[0]) != shape(c_.x)) return ValueId::none;
      if (dtype(v) != type) return ValueId::none;
      m_.add(r);
      c_.last = r;
      c_.result = n.out[0];
      return v;
    };
    c_.scale = other("Mul");
    if (norm_ == Norm::layer) c_.bias = other("Add");
    if (c_.scale == ValueId::none) return;
    cast_back();
  }

  // A Cast back to the type that x had before it was widened.
  void cast_back() {
    const NodeId r = m_.only_reader(c_.result);
    if (r == NodeId::none || g_.at(r).op->name != "Cast") return;
    const ValueId narrow = Match(m_).before_widening(c_.x);
    if (narrow == c_.x || dtype(g_.at(r).out[0]) != dtype(narrow)) return;
    if (c_.scale != ValueId::none && dtype(c_.scale) != dtype(narrow)) return;
    m_.add(r);
    c_.last = r;
    c_.result = g_.at(r).out[0];
  }

  // LayerNormalization takes and gives one type; RMSNormalization gives the type of its scale.
  void choose_type() {
    const ValueId narrow = Match(m_).before_widening(c_.x);
    if (norm_ == Norm::rms || dtype(narrow) == dtype(c_.result)) {
      c_.x = m_.before_widening(c_.x);
    } else if (dtype(c_.x) == dtype(c_.result)) {
      for (ValueId v = c_.x; v != narrow; v = g_.at(g_.at(v).producer).in[0]) m_.remove(g_.at(v).producer);
    } else {
      reason_ = concat("it turns ", dtype(narrow), " into ", dtype(c_.result));
    }
  }

  const Graph& g_;
  Match m_;
  const Norm norm_;
  NormalizationChain c_;
  const Node *mean_ = nullptr, *centre_ = nullptr;
  ValueId squared_ = ValueId::none;
  std::string reason_;
};

}  // namespace

template <Norm norm>
std::optional<NormalizationChain> normalization_chain(const Graph& g, const Uses& uses, NodeId n, std::string& reason) {
  return Reader(g, uses, norm).read(n, reason);
}
template std::optional<NormalizationChain> normalization_chain<Norm::layer>(const Graph&, const Uses&, NodeId,
                                                                            std::string&);
template std::optional<NormalizationChain> normalization_chain<Norm::rms>(const Graph&, const Uses&, NodeId,
                                                                          std::string&);

}  // namespace tessera
