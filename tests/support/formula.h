#pragma once
// Graphs written as formulas: Formula y = x * call("Sigmoid", x * 1.702).
#include "tests/support/small_graph.h"

namespace tessera {

struct Formula {
  SmallGraph* graph;
  ValueId id;
};

inline Formula call(std::string_view op, std::vector<Formula> in, Attributes attributes = {}) {
  std::vector<ValueId> ids;
  for (const Formula& v : in) ids.push_back(v.id);
  return {in[0].graph, in[0].graph->node(op, ids, std::move(attributes))};
}
inline Formula call(std::string_view op, Formula x, Attributes attributes = {}) {
  return call(op, std::vector{x}, std::move(attributes));
}
// A scalar of x's type.
inline Formula number(double value, Formula x) { return {x.graph, x.graph->build.scalar_like(x.id, value)}; }
inline Formula ints(std::initializer_list<std::int64_t> values, Formula x) {
  return {x.graph, x.graph->build.ints(values)};
}

inline Formula operator+(Formula a, Formula b) { return call("Add", {a, b}); }
inline Formula operator-(Formula a, Formula b) { return call("Sub", {a, b}); }
inline Formula operator*(Formula a, Formula b) { return call("Mul", {a, b}); }
inline Formula operator/(Formula a, Formula b) { return call("Div", {a, b}); }
inline Formula operator-(Formula a) { return call("Neg", a); }
inline Formula operator+(Formula a, double b) { return a + number(b, a); }
inline Formula operator-(Formula a, double b) { return a - number(b, a); }
inline Formula operator*(Formula a, double b) { return a * number(b, a); }
inline Formula operator/(Formula a, double b) { return a / number(b, a); }
inline Formula operator+(double a, Formula b) { return number(a, b) + b; }
inline Formula operator-(double a, Formula b) { return number(a, b) - b; }
inline Formula operator*(double a, Formula b) { return number(a, b) * b; }
inline Formula operator/(double a, Formula b) { return number(a, b) / b; }

}  // namespace tessera
