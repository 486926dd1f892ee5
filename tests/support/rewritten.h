#pragma once
// Holding what a pass writes against the graph as it was.
#include <gtest/gtest.h>

#include "runtime/graph/verify.h"
#include "runtime/pass/passes.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/made_up.h"
#include "tests/support/small_graph.h"

namespace tessera {

inline std::vector<std::string> ops(const Graph& g) {
  std::vector<std::string> names;
  for (const auto& n : g.nodes) names.emplace_back(n.op->name);
  return names;
}

// Whether the pass found anything; a second time it must not.
inline bool apply(const PassDef& pass, Graph& g) {
  const bool changed = pass.run(g, builtin_registry());
  verify(g);
  EXPECT_FALSE(pass.run(g, builtin_registry())) << pass.name << " is not idempotent";
  return changed;
}

// Both graphs on the same numbers.
inline void expect_same_outputs(const Graph& got, const Graph& expected, Rounding tolerance = {}) {
  const auto in = made_up_inputs(expected);
  const auto outputs = interpret(got, in);
  for (const auto& [name, t] : interpret(expected, in)) EXPECT_TRUE(close(outputs.at(name), t, tolerance)) << name;
}

// Applies one pass, and holds the result against the graph as it was.
inline void expect_same_after(const PassDef& pass, Graph& g, double tolerance = 1e-5) {
  const Graph before = g;
  EXPECT_TRUE(apply(pass, g));
  expect_same_outputs(g, before, {tolerance, tolerance});
}

struct Chain {
  SmallGraph e;
  ValueId node(std::string_view op, std::vector<ValueId> in, Attributes attributes = {}) {
    return e.node(op, std::move(in), std::move(attributes));
  }
  ValueId number(double x, DType t = DType::f32) { return e.build.constant(Tensor::scalar(t, x)); }
  ValueId mean(ValueId v, std::vector<std::int64_t> axes = {-1}) { return node("ReduceMean", {v, e.build.ints(axes)}); }
  ValueId cast(ValueId v, DType t) { return node("Cast", {v}, {{"to", static_cast<std::int64_t>(t)}}); }
};

}  // namespace tessera
