#include "runtime/graph/match.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/base/nearest.h"

namespace tessera {

std::string to_text(const Graph& g, const Furthest& f) {
  if (f.at == ValueId::none) return f.missing;
  const Value& v = g.at(f.at);
  std::string text = concat("'", v.name, "' ");
  if (v.producer != NodeId::none)
    text += concat("comes from ", g.at(v.producer).op->name);
  else
    text += v.constant ? "is a constant" : "is an input";
  return f.operators.empty() ? text : concat(text, ", not from ", either(f.operators));
}

const Node* Match::read(ValueId v, std::string_view op) {
  if (v == ValueId::none || g_.at(v).producer == NodeId::none) return nullptr;
  const NodeId id = g_.at(v).producer;
  const Node& n = g_.at(id);
  const std::size_t colons = op.find("::");
  const auto domain = colons == op.npos ? std::string_view() : op.substr(0, colons);
  if (n.op->domain != domain || n.op->name != op.substr(colons == op.npos ? 0 : colons + 2) || n.out[0] != v)
    return nullptr;
  add(id);
  return &n;
}

const Node* Match::by(ValueId v, std::string_view op) {
  const Node* n = read(v, op);
  if (!n) comes_from_another(v, op);
  return n;
}

void Match::comes_from_another(ValueId v, std::string_view op) {
  if (v == ValueId::none || !is_furthest()) return;
  if (nodes_.size() > furthest_->read.size() || (furthest_->missing.empty() && furthest_->at == ValueId::none))
    *furthest_ = {nodes_, {}, v, {op}};
  else if (furthest_->at == v &&
           std::find(furthest_->operators.begin(), furthest_->operators.end(), op) == furthest_->operators.end())
    furthest_->operators.push_back(op);
}

std::optional<Match::Operand> Match::with_constant(ValueId v, std::string_view op) {
  const std::size_t before = size();
  const Node* n = by(v, op);
  if (n && n->in.size() == 2)
    for (const std::size_t i : {0, 1})
      if (const auto x = number(n->in[i])) return Operand{*x, n->in[1 - i]};
  if (n) wants(false, "'", g_.at(v).name, "' has no operand that is one constant number");
  keep(before);
  return std::nullopt;
}

std::optional<double> Match::number(ValueId v) const {
  if (!g_.is_constant(v) || g_.at(v).constant.size() != 1) return std::nullopt;
  return doubles(g_.at(v).constant)[0];
}

bool Match::wants_number(ValueId v, double x) {
  const auto is = number(v);
  return is ? wants(*is == x, "'", g_.at(v).name, "' is ", *is, ", not ", x)
            : wants(false, "'", g_.at(v).name, "' is not the constant ", x);
}

bool Match::wants_no_other_readers(ValueId result) {
  const auto inside = [&](NodeId n) { return std::find(nodes_.begin(), nodes_.end(), n) != nodes_.end(); };
  for (const auto n : nodes_)
    for (const auto v : g_.at(n).out) {
      if (v == ValueId::none || v == result) continue;
      const auto& readers = uses_.of[index(v)];
      if (uses_.as_output[index(v)] > 0 || !std::all_of(readers.begin(), readers.end(), inside))
        return wants(false, "'", g_.at(v).name, "' inside of it is also read by others");
    }
  return true;
}

ValueId Match::before_widening(ValueId v) {
  for (;;) {
    const std::size_t before = size();
    const Node* cast = read(v, "Cast");
    if (!cast) return v;
    const DType from = g_.at(cast->in[0]).dtype, to = g_.at(v).dtype;
    if (!dtypes::floats.has(from) || !dtypes::floats.has(to) || size_of(from) >= size_of(to)) {
      keep(before);
      return v;
    }
    v = cast->in[0];
  }
}

void Match::add(NodeId n) {
  if (std::find(nodes_.begin(), nodes_.end(), n) == nodes_.end()) nodes_.push_back(n);
}

NodeId Match::only_reader(ValueId v) const {
  return uses_.of[index(v)].size() == 1 && uses_.as_output[index(v)] == 0 ? uses_.of[index(v)][0] : NodeId::none;
}

bool is_filled_with(const Graph& g, ValueId v, double x) {
  if (!g.is_constant(v)) return false;
  const Tensor& t = g.at(v).constant;
  if (t.size() == 0) return false;
  const Tensor one = Tensor::scalar(t.dtype(), x);
  const auto* bytes = static_cast<const char*>(t.raw());
  return std::memcmp(bytes, one.raw(), one.bytes()) == 0 &&
         std::memcmp(bytes, bytes + one.bytes(), t.bytes() - one.bytes()) == 0;
}

bool is_shaped_like(const Graph& g, ValueId v, ValueId x) { return g.at(v).shape && g.at(v).shape == g.at(x).shape; }

bool about(double x, double constant, DType t) {
  // Exporters print constants with four to ten digits; of a sixteen-bit type, its own rounding comes on top.
  // Of a half or a whole, which every type holds, only the rounding of their factors is left.
  const bool wide = t == DType::f32 || t == DType::f64, held = constant == 1 || constant == 0.5;
  const double tolerance = wide ? (held ? 1e-6 : 1e-4) : (held ? 1e-3 : 5e-3);
  return std::abs(x - constant) <= tolerance * std::abs(constant);
}

}  // namespace tessera
