// Graphs that are nearly what a pass looks for, or more than that: whatever all stages make of them, they run, and
// compute the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "runtime/session/session.h"
#include "tests/support/compare.h"
#include "tests/support/graph_notation.h"
#include "tests/support/interpret.h"
#include "tests/support/made_up.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

struct Lookalike {
  const char *inputs, *text;
};

void expect_same(const Graph& g, Rounding tolerance = {}) {
  const auto in = made_up_inputs(g);
  Session session(g, {.threads = 1});
  const auto outputs = session.run({in.begin(), in.end()});
  for (const auto& [name, t] : interpret(g, in)) EXPECT_TRUE(close(outputs.at(name), t, tolerance)) << name;
}

void expect_same(const Lookalike& l, Rounding tolerance = {}) {
  SCOPED_TRACE(l.text);
  expect_same(graph_of(l.inputs, l.text), tolerance);
}

// What is written in place of the pattern reads a value from inside of it.
TEST(Lookalikes, that_use_a_part_of_themselves) {
  const std::string norm =
      "m = ReduceMean(x, i64{-1}); d = Sub(x, m); r = Sqrt(Add(ReduceMean(Mul(d, d), i64{-1}), 0.00001)); ";
  for (const std::string end : {"Add(Div(d, r), m)", "Mul(Div(d, r), r)", "Div(Mul(d, d), r)"})
    expect_same({"x: f32[2x8]", (norm + end).c_str()}, {1e-5, 1e-5});
  for (const Lookalike& l : std::initializer_list<Lookalike>{
           {"x: f32[2x8]", "n = Neg(x); Add(n, n)"},
           {"x: f32[2x8]", "n = Neg(x); Sub(n, n)"},
           {"x: f32[2x8]", "e = Exp(Neg(x)); Div(e, Add(1, e))"},
           {"x: f32[2x8]", "n = Neg(x); Div(n, Add(1, Exp(n)))"},
           {"x: f32[2x8]", "r = Sqrt(Add(ReduceMean(Mul(x, x), i64{-1}), 0.00001)); Mul(Div(x, r), r)"},
           {"x: f32[1x5], w: f32[5x7]", "p = MatMul(x, w); Add(p, p)"},
           {"x: f32[1x5], w: f32[5x7]", "p = MatMul(x, w); Add(p, Reshape(p, i64{7}))"},
           {"x: f32[1x2x4x8], t: f32[1x1x4x8]",
            "a, b = Split(x, axis=-1, num_outputs=2); c, s = Split(t, axis=-1, num_outputs=2); "
            "Concat(Sub(Mul(c, a), Mul(s, b)), Add(Mul(s, a), Mul(c, b)), axis=-1)"},
           {"x: f32[4x8]",
            "a, b = Split(x, axis=-1, num_outputs=2); "
            "Concat(Sub(Mul(a, a), Mul(b, b)), Add(Mul(a, b), Mul(b, a)), axis=-1)"}})
    expect_same(l, {1e-5, 1e-5});
}

TEST(Lookalikes, of_other_types_and_shapes) {
  for (const Lookalike& l : std::initializer_list<Lookalike>{
           {"x: i64[1x2x4x8], c: i64[1x1x4x4], s: i64[1x1x4x4]",
            "a, b = Split(x, axis=-1, num_outputs=2); "
            "Concat(Sub(Mul(a, c), Mul(b, s)), Add(Mul(a, s), Mul(b, c)), axis=-1)"},
           {"x: f32[1x8], slope: f32[4x8]", "PRelu(Expand(x, i64{4, 8}), slope)"},
           {"x: f16[4x8], b: f32[8]",
            "w = Cast(x, to=1); m = ReduceMean(w, i64{-1}); d = Sub(w, m); "
            "s = Reciprocal(Sqrt(Add(ReduceMean(Mul(d, d), i64{-1}), 0.00001))); "
            "Cast(Add(Mul(w, s), Sub(b, Mul(m, s))), to=10)"},
           {"x: f32[2x8]", "Div(f32{{{{1}}}}, Add(1, Exp(Neg(x))))"},
           {"x: f32[2x8]",
            "m = ReduceMean(x, i64{-1}); d = Sub(x, m); "
            "Div(d, Sqrt(Add(ReduceMean(Mul(d, d), i64{-1}), f32{{{{0.00001}}}})))"},
           {"x: f32[8], keep: bool[8]", "n = Compress(x, keep); Mul(n, Sigmoid(Mul(n, f32{{1.5}})))"},
           {"x: f32[8], keep: bool[8]", "n = Compress(x, keep); Div(1, Add(f32{{1}}, Exp(Neg(n))))"}})
    expect_same(l, {2e-3, 2e-3});
}

TEST(Lookalikes, with_a_factor_near_one) {
  expect_same({"x: f32[2x8]", "Mul(Mul(x, Sigmoid(x)), 1.00005)"}, {2e-6, 0});
  expect_same({"x: f32[2x8]", "Mul(Mul(x, 0.50003), Add(Erf(Div(x, 1.4142135)), 1))"}, {2e-5, 1e-7});
}

TEST(Lookalikes, without_their_first_result) {
  SmallGraph e;
  const ValueId x = e.input("x", {3, 1, 2}), w = e.input("w", {1, 8, 2}), r = e.input("r", {1, 8, 2});
  const auto out =
      e.build.add(builtin_registry().at("LSTM"), "n", {x, w, r}, {{"hidden_size", std::int64_t{2}}}, {"", "h"});
  e.output("y", out[1]);
  expect_same(e.g, {1e-5, 1e-5});
}

TEST(Lookalikes, of_operands_of_attention) {
  const char* qkv = "q: f32[1x3x4], k: f32[1x5x4], v: f32[1x5x2]";
  expect_same({"x: f32[3x4x8], k: f32[1x1x5x8], v: f32[1x1x5x2]",
               "q = Gather(x, i64{{0}}, axis=0); MatMul(Softmax(MatMul(q, Transpose(k, perm=[0, 1, 3, 2]))), v)"},
              {1e-5, 1e-5});
  expect_same({"x: f32[4], k: f32[1x5x1], v: f32[1x5x1]",
               "q = Expand(Einsum(x, equation=\"i->\"), i64{1, 3, 1}); "
               "MatMul(Softmax(MatMul(q, Transpose(k, perm=[0, 2, 1]))), v)"},
              {1e-5, 1e-5});
  expect_same({qkv, "MatMul(Softmax(MatMul(q, Transpose(k, perm=[0, 2, 1]))), v)"}, {1e-5, 1e-5});
}

// More elements than are folded: the comparison of positions stays in the graph.
TEST(Lookalikes, with_a_causal_mask_of_many_tokens) {
  constexpr std::int64_t tokens = 1100;
  std::vector<std::int64_t> at(tokens);
  std::iota(at.begin(), at.end(), 0);
  SmallGraph e;
  const ValueId q = e.input("q", {1, 1, tokens, 2}), k = e.input("k", {1, 1, 2, tokens}),
                v = e.input("v", {1, 1, tokens, 2});
  const ValueId columns = e.build.constant(Tensor::of<std::int64_t>({1, tokens}, at)),
                rows = e.build.constant(Tensor::of<std::int64_t>({tokens, 1}, at));
  const ValueId keep = e.node("LessOrEqual", {columns, rows});
  const ValueId s = e.node("Where", {keep, e.node("MatMul", {q, k}), e.constant("-inf")});
  e.output("y", e.node("MatMul", {e.node("Softmax", {s}), v}));
  expect_same(e.g, {1e-4, 1e-5});
}

}  // namespace
}  // namespace tessera
