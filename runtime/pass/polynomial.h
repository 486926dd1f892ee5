#pragma once
// A value read as a polynomial of two others, x and f: sums, differences, products, quotients by numbers, negations and
// whole powers are multiplied out, so that x (1 + f) / 2 and 0.5 x + f (0.5 x) are the same.
#include <array>

#include "runtime/graph/match.h"

namespace tessera {

struct Term {
  double coefficient;
  std::array<int, 2> power;  // of x and f
};
using Polynomial = std::vector<Term>;  // no two of the same powers

struct Variables {
  ValueId x, f = ValueId::none;
};

// Nothing when v depends on anything else, or has more than a few terms. The nodes read join the match.
std::optional<Polynomial> polynomial(const Graph& g, Match& m, ValueId v, const Variables& variables);

// Whether the coefficients are those of `expected` as some exporter rounded them, in the precision of t.
bool about(const Polynomial& p, const Polynomial& expected, DType t);
// As "0.5 x + 0.5 x f".
std::string to_text(const Polynomial& p);

}  // namespace tessera
