#pragma once
// Holding what a pass writes against the graph as it was.
#include <gtest/gtest.h>

#include <random>

#include "runtime/graph/verify.h"
#include "runtime/pass/passes.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/small_graph.h"

namespace tessera {

inline std::vector<std::string> ops(const Graph& g) {
  std::vector<std::string> names;
  for (const auto& n : g.nodes) names.emplace_back(n.op->name);
  return names;
}

inline Tensor random_tensor(const Shape& shape, unsigned seed, DType type = DType::f32) {
  std::mt19937 random(seed);
  std::vector<float> values(static_cast<std::size_t>(count(shape)));
  for (auto& v : values) v = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 300;
  return converted(Tensor::of<float>(shape, values), type);
}

inline std::vector<Tensor> random_inputs(const Graph& g) {
  std::vector<Tensor> in;
  for (const auto& i : g.inputs)
    in.push_back(random_tensor(*g.at(i.value).shape, static_cast<unsigned>(in.size()) + 1, g.at(i.value).dtype));
  return in;
}

// Applies one pass, and holds the result against the graph as it was.
inline void expect_same_after(const PassDef& pass, Graph& g, double tolerance = 1e-5) {
  const Graph before = g;
  EXPECT_TRUE(pass.run(g, builtin_registry()));
  verify(g);
  EXPECT_FALSE(pass.run(g, builtin_registry())) << "not idempotent";
  const auto in = random_inputs(before);
  const auto expected = interpret(before, in), got = interpret(g, in);
  for (std::size_t o = 0; o < got.size(); ++o) EXPECT_TRUE(close(got[o], expected[o], {tolerance, tolerance}));
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
