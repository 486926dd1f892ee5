#pragma once
// Reading a pattern out of a graph, backwards from the node that ends it. A Match remembers the nodes it has read; they
// may be rewritten when nobody else needs what they compute.
//
//   Match m(g, uses);
//   if (const Node* root = m.by(v, "Sqrt"))
//     if (const auto sum = m.with_constant(root->in[0], "Add")) ...  // sum->value + sum->other
//
// Thread rule: const use is free. Borrows graph and uses.
#include "runtime/graph/graph.h"

namespace tessera {

class Match {
 public:
  Match(const Graph& g, const Uses& uses) : g_(g), uses_(uses) {}

  // The node of ai.onnx that computes v by operator `op`; null when there is none. It joins the match.
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

  // Forgets the nodes read after the first `n`.
  std::size_t size() const { return nodes_.size(); }
  void keep(std::size_t n) { nodes_.resize(n); }
  const std::vector<NodeId>& nodes() const { return nodes_; }
  // A node found by going forward joins, or one leaves.
  void add(NodeId n);
  void remove(NodeId n) { std::erase(nodes_, n); }

  // The value that somebody outside of the match reads, other than `result`; nothing when all others are only read
  // inside, so that the match can be replaced.
  std::optional<ValueId> read_outside(ValueId result) const;
  // The only node that reads v, when v is no graph output; none otherwise.
  NodeId only_reader(ValueId v) const;

 private:
  const Graph& g_;
  const Uses& uses_;
  std::vector<NodeId> nodes_;
};

// Whether x is `constant` as some exporter rounded it, in the precision of t.
bool about(double x, double constant, DType t);

}  // namespace tessera
