#pragma once
// Reading a pattern out of a graph, backwards from the node that ends it. A Match remembers the nodes it has read; they
// may be rewritten when nobody else needs what they compute.
//
//   Match m(g, uses, &furthest);
//   if (const Node* root = m.by(v, "Sqrt"))
//     if (const auto sum = m.with_constant(root->in[0], "Add"))
//       if (m.wants(sum->value > 0, "nothing is added")) ...  // sum->value + sum->other
//
// Every test that fails leaves word of it in `furthest`: a matcher tries its ways without a thought for reasons, and
// the way that got furthest says what was missing. Thread rule: const use is free. Borrows all it is given.
#include "runtime/graph/graph.h"

namespace tessera {

// Where reading got furthest, over all ways that were tried.
struct Furthest {
  std::vector<NodeId> read;                 // the nodes read before it failed
  std::string missing;                      // what the pattern wants there; or:
  ValueId at = ValueId::none;               // a value
  std::vector<std::string_view> operators;  // that comes from none of these
};
// In words; empty when nothing failed.
std::string to_text(const Graph& g, const Furthest& f);

class Match {
 public:
  // Without `furthest`, nobody wants to know.
  Match(const Graph& g, const Uses& uses, Furthest* furthest = nullptr) : g_(g), uses_(uses), furthest_(furthest) {}

  // The node that computes v by operator `op` ("Add", or "domain::Name"); null when there is none. It joins the match.
  const Node* by(ValueId v, std::string_view op);
  // Of a node with two inputs, either of which is one constant number: that number, and the other input.
  struct Operand {
    double value;
    ValueId other;
  };
  std::optional<Operand> with_constant(ValueId v, std::string_view op);
  // Of v, a constant of one element.
  std::optional<double> number(ValueId v) const;
  // v, or what it was before it was cast to a wider floating type.
  ValueId before_widening(ValueId v);
  // `holds`; when it does not, `parts` say what the pattern wants here.
  template <class... Parts>
  bool wants(bool holds, const Parts&... parts) {
    if (!holds && is_furthest()) *furthest_ = {nodes_, concat(parts...), ValueId::none, {}};
    return holds;
  }
  // That v is the number x.
  bool wants_number(ValueId v, double x);
  // That nobody outside of the match reads what it computes, other than `result`: it can be replaced.
  bool wants_no_other_readers(ValueId result);

  // Forgets the nodes read after the first `n`.
  std::size_t size() const { return nodes_.size(); }
  void keep(std::size_t n) { nodes_.resize(n); }
  const std::vector<NodeId>& nodes() const { return nodes_; }
  // A node found by going forward joins, or one leaves.
  void add(NodeId n);
  void remove(NodeId n) { std::erase(nodes_, n); }

  // The only node that reads v, when v is no graph output; none otherwise.
  NodeId only_reader(ValueId v) const;

 private:
  const Node* read(ValueId v, std::string_view op);
  bool is_furthest() const { return furthest_ && nodes_.size() >= furthest_->read.size(); }
  void comes_from_another(ValueId v, std::string_view op);

  const Graph& g_;
  const Uses& uses_;
  Furthest* furthest_;
  std::vector<NodeId> nodes_;
};

// Whether v is a constant that holds x everywhere, bit for bit, and something at all.
bool is_filled_with(const Graph& g, ValueId v, double x);
// Whether v is known to have the shape of x.
bool is_shaped_like(const Graph& g, ValueId v, ValueId x);
// Whether x is `constant` as some exporter rounded it, in the precision of t.
bool about(double x, double constant, DType t);

}  // namespace tessera
