// What passes say of the places they nearly rewrote: the node, and the condition that failed on the way that got
// furthest.
#include <gtest/gtest.h>

#include <functional>

#include "tests/support/formula.h"
#include "tests/support/rewritten.h"

namespace tessera {
namespace {

using F = Formula;

F mean(F v) { return call("ReduceMean", {v, ints({-1}, v)}); }

// The only miss, of a formula of x [2, 3, 8] and w [8].
std::string reason(const PassDef& pass, const std::function<F(F x, F w)>& write) {
  SmallGraph s;
  const F x{&s, s.input("x", {2, 3, 8})}, w{&s, s.input("w", {8})};
  const F last = write(x, w);
  s.output("y", last.id);
  EXPECT_FALSE(pass.run(s.g, builtin_registry()));
  const auto misses = pass.near_misses(s.g);
  if (misses.size() != 1) return concat(misses.size(), " misses");
  EXPECT_EQ(misses[0].node, s.g.at(s.g.at(last.id).producer).name);
  return misses[0].reason;
}

TEST(NearMisses, of_norms) {
  const auto why = [](const std::function<F(F x, F w)>& write) { return reason(fuse_rms_normalization_pass, write); };
  const auto root = [](F v) { return call("Sqrt", v); };
  EXPECT_EQ(why([&](F x, F w) { return x / root(mean(x * x) + mean(w)); }),
            "'Add_3.Add' has no operand that is one constant number");
  EXPECT_EQ(why([&](F x, F) { return x / (root(mean(x * x)) + 1e-6); }),
            "'Add_3.Add' comes from Add, not from ReduceL2, Sqrt, Reciprocal, Pow, Div or Mul");
  EXPECT_EQ(why([&](F x, F) {
              return x / root(mean(call("Pow", {x, number(3, x)})) + 1e-6);
            }),
            "'constant.2' is 3, not 2");
  EXPECT_EQ(why([&](F x, F w) {
              const F norm = root(mean(x * x) + 1e-6);
              return (x + w) / norm;
            }),
            "its mean is of the squares of 'x', not of 'Add_4.Add'");
  EXPECT_EQ(why([&](F x, F) {
              return x / root(call("ReduceMean", {x * x, ints({1}, x)}) + 1e-6);
            }),
            "'ReduceMean_1' is not over the last axes, or not over those of the other mean");
}

TEST(NearMisses, of_activations) {
  const auto why = [](const std::function<F(F x, F w)>& write) { return reason(fuse_gelu_pass, write); };
  EXPECT_EQ(why([](F x, F) { return x * 0.5 * (1 + call("Erf", x * 0.7)); }), "its Erf is of 0.7 x, not of 0.707107 x");
  EXPECT_EQ(why([](F x, F) { return x * (1 + call("Erf", x / 1.41421356)); }),
            "with f its Erf, it is x + x f, not 0.5 x + 0.5 x f");
  EXPECT_EQ(why([](F x, F w) {
              const F erf = call("Erf", (x + w) / 1.41421356);
              return x * 0.5 * (1 + erf);
            }),
            "it and the argument of 'Erf_2' are not made of one value");
  EXPECT_EQ(reason(fuse_silu_pass, [](F x, F w) { return w * call("Sigmoid", x); }),
            "it and the argument of 'Sigmoid_0' are not made of one value");
}

TEST(NearMisses, of_biases) {
  SmallGraph s;
  const F x{&s, s.input("x", {2, 3, 8})}, w{&s, s.input("w", {8, 4})}, row{&s, s.input("row", {2, 1, 4})};
  s.output("y", (call("MatMul", {x, w}) + row).id);
  s.output("z", (call("MatMul", {w, call("Transpose", w)}) + 1).id);
  const auto misses = fuse_bias_pass.near_misses(s.g);
  ASSERT_EQ(misses.size(), 2u);
  EXPECT_EQ(misses[0].reason, "'row' is not one row for all of 'MatMul_0.MatMul'");
}

TEST(NearMisses, of_rotations) {
  SmallGraph s;
  const F x{&s, s.input("x", {1, 2, 5, 8})}, cos{&s, s.input("cos", {1, 1, 5, 4})},
      sin{&s, s.input("sin", {1, 1, 5, 4})};
  const auto slice = [&](std::int64_t from) {
    return call("Slice", {x, ints({from}, x), ints({from + 4}, x), ints({3}, x)});
  };
  const F a = slice(0), b = slice(4);
  s.output("y", call("Concat", {a * cos - b * sin, b * cos + a * cos}, {{"axis", std::int64_t{3}}}).id);
  const auto misses = fuse_rotary_embedding_pass.near_misses(s.g);
  ASSERT_EQ(misses.size(), 1u);
  EXPECT_EQ(misses[0].node, "Concat_8");
  EXPECT_EQ(misses[0].reason, "the two features of a pair are turned by different tables");
}

// Every product on the way looks for a root; each place is told once, by the product that is its own.
TEST(NearMisses, come_once_for_each_place) {
  SmallGraph s;
  F x{&s, s.input("x", {2, 3, 8})};
  std::vector<std::string> expected;
  for (int i = 0; i < 3; ++i) {
    x = call("Tanh", x);
    x = x * call("Reciprocal", call("Sqrt", mean(x * x * x) + 1e-6));
    expected.push_back(s.g.at(s.g.at(x.id).producer).name);
  }
  s.output("y", x.id);
  std::vector<std::string> nodes;
  for (const Miss& miss : fuse_rms_normalization_pass.near_misses(s.g)) nodes.push_back(miss.node);
  EXPECT_EQ(nodes, expected);
}

}  // namespace
}  // namespace tessera
