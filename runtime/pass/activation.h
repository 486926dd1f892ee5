#pragma once
// An activation that is written out in arithmetic: y = P(x, f) with f = F(Q(x)), P and Q polynomials, as in GELU,
// P = 0.5 x + 0.5 x f, F = Erf, Q = 0.7071 x.
#include <functional>

#include "runtime/pass/polynomial.h"
#include "runtime/pass/replace_matches.h"

namespace tessera {

struct Activation {
  NodeId last;
  ValueId x, result;
  Polynomial y, argument;  // P and Q
  std::vector<NodeId> nodes;
};

// Node n read as y, F an operator. Which value is x is not visible in a product of several: each that F's argument is
// made of is tried, until `is` accepts what was read.
std::optional<Activation> activation(const Graph& g, const Uses& uses, NodeId n, std::string_view op,
                                     Furthest* furthest, const std::function<bool(const Activation&, Match&)>& is);

}  // namespace tessera
