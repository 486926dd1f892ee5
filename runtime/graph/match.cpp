#include "runtime/graph/match.h"

#include <algorithm>
#include <cmath>

namespace tessera {

const Node* Match::by(ValueId v, std::string_view op) {
  if (v == ValueId::none || g_.at(v).producer == NodeId::none) return nullptr;
  const NodeId id = g_.at(v).producer;
  const Node& n = g_.at(id);
  if (n.op->name != op || !n.op->domain.empty() || n.out[0] != v) return nullptr;
  add(id);
  return &n;
}

std::optional<Match::Operand> Match::with_constant(ValueId v, std::string_view op) {
  const std::size_t before = size();
  if (const Node* n = by(v, op); n && n->in.size() == 2)
    for (const std::size_t i : {0, 1})
      if (const auto x = number(n->in[i])) return Operand{*x, n->in[1 - i]};
  keep(before);
  return std::nullopt;
}

std::optional<double> Match::number(ValueId v) const {
  if (!g_.is_constant(v) || g_.at(v).constant.size() != 1) return std::nullopt;
  return doubles(g_.at(v).constant)[0];
}

ValueId Match::before_widening(ValueId v) {
  for (;;) {
    const std::size_t before = size();
    const Node* cast = by(v, "Cast");
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

std::optional<ValueId> Match::read_outside(ValueId result) const {
  const auto inside = [&](NodeId n) { return std::find(nodes_.begin(), nodes_.end(), n) != nodes_.end(); };
  for (const auto n : nodes_)
    for (const auto v : g_.at(n).out) {
      if (v == ValueId::none || v == result) continue;
      const auto& readers = uses_.of[index(v)];
      if (uses_.as_output[index(v)] > 0 || !std::all_of(readers.begin(), readers.end(), inside)) return v;
    }
  return std::nullopt;
}

NodeId Match::only_reader(ValueId v) const {
  return uses_.of[index(v)].size() == 1 && uses_.as_output[index(v)] == 0 ? uses_.of[index(v)][0] : NodeId::none;
}

bool about(double x, double constant, DType t) {
  // Exporters print constants with four to ten digits; of a sixteen-bit type, its own rounding comes on top.
  const double tolerance = t == DType::f32 || t == DType::f64 ? 1e-4 : 5e-3;
  return std::abs(x - constant) <= tolerance * std::abs(constant);
}

}  // namespace tessera
