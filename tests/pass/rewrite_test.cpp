// The small rewrites that bring arithmetic into one spelling.
#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/support/formula.h"
#include "tests/support/rewritten.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using F = Formula;

// What `pass` makes of a formula of x [2, 3, 4], y [2, 3, 4] and s [2, 1, 4].
struct Written {
  SmallGraph s;
  F x{&s, s.input("x", {2, 3, 4})}, y{&s, s.input("y", {2, 3, 4})}, small{&s, s.input("s", {2, 1, 4})};
  Graph before;

  void output(F v) { s.output("z", v.id); }
  std::vector<std::string> after(const PassDef& pass, double tolerance = 0) {
    before = s.g;
    expect_same_after(pass, s.g, tolerance);
    return ops(s.g);
  }
  bool changes(const PassDef& pass) { return pass.run(s.g, builtin_registry()); }
};

F expand(F v, std::initializer_list<std::int64_t> shape) { return call("Expand", {v, ints(shape, v)}); }

TEST(DropNeutral, keeps_every_bit) {
  const std::function<F(F)> neutral[] = {[](F x) { return x * 1; },
                                         [](F x) { return 1 * x; },
                                         [](F x) { return x / 1; },
                                         [](F x) { return x - 0; },
                                         [](F x) {
                                           return call("Pow", {x, number(1, x)});
                                         },
                                         [](F x) {
                                           return x * F{x.graph, x.graph->constant("{1, 1, 1, 1}")};
                                         }};
  for (const auto& write : neutral) {
    Written w;
    w.output(call("Neg", write(w.x)));
    EXPECT_THAT(w.after(drop_neutral_pass), ElementsAre("Neg"));
  }
}

TEST(DropNeutral, leaves_what_changes_something) {
  const std::function<F(F)> others[] = {
      [](F x) { return x + 0; },  // -0 becomes 0
      [](F x) { return 1 / x; },
      [](F x) { return 0 - x; },
      [](F x) {
        return x - F{x.graph, x.graph->constant("-0")};
      },
      [](F x) {
        return x * F{x.graph, x.graph->constant("{1, 1, 1, 2}")};
      },
      [](F x) {
        return F{x.graph, x.graph->input("one", {1, 1})} * F{x.graph, x.graph->constant("{1, 1, 1, 1}")};
      }};
  for (const auto& write : others) {
    Written w;
    w.output(write(w.x));
    EXPECT_FALSE(w.changes(drop_neutral_pass));
  }
}

TEST(DropNeutral, adds_of_integers_are_exact) {
  SmallGraph s;
  const F i{&s, s.input("i", {3}, DType::i64)};
  s.output("y", (number(0, i) + i).id);
  EXPECT_TRUE(drop_neutral_pass.run(s.g, builtin_registry()));
}

TEST(DropExpand, lets_operators_broadcast) {
  Written w;  // F.normalize over channels
  const F length = call("Max", {call("ReduceL2", {w.x, ints({1}, w.x)}), number(1e-12, w.x)});
  w.output(w.x / expand(length, {2, 3, 4}));
  EXPECT_THAT(w.after(drop_expand_pass), ElementsAre("ReduceL2", "Max", "Expand", "Div"));
  remove_dead_pass.run(w.s.g, builtin_registry());
  EXPECT_THAT(ops(w.s.g), ElementsAre("ReduceL2", "Max", "Div"));
}

TEST(DropExpand, keeps_one_of_two_that_make_the_shape) {
  Written w;
  w.output(expand(w.small, {2, 3, 4}) * expand(call("Neg", w.small), {2, 3, 4}));
  w.after(drop_expand_pass);
  remove_dead_pass.run(w.s.g, builtin_registry());
  EXPECT_THAT(ops(w.s.g), ElementsAre("Neg", "Expand", "Mul"));
}

TEST(DropExpand, leaves_what_needs_the_size) {
  Written w;
  w.output(call("Exp", expand(w.small, {2, 3, 4})));
  w.s.output("product", call("MatMul", {expand(w.small, {2, 3, 4}),
                                        call("Transpose", w.x, {{"perm", std::vector<std::int64_t>{0, 2, 1}}})})
                            .id);
  EXPECT_FALSE(w.changes(drop_expand_pass));
}

TEST(WriteSigns, in_one_way) {
  const std::pair<std::function<F(F, F)>, std::vector<std::string>> cases[] = {
      {[](F x, F) { return x * -1; }, {"Neg"}},   {[](F x, F) { return -1 * x; }, {"Neg"}},
      {[](F x, F) { return x / -1; }, {"Neg"}},   {[](F x, F y) { return x + -y; }, {"Sub"}},
      {[](F x, F y) { return -x + y; }, {"Sub"}}, {[](F x, F y) { return x - -y; }, {"Add"}}};
  for (const auto& [write, expected] : cases) {
    Written w;
    w.output(write(w.x, w.y));
    EXPECT_EQ(w.after(write_signs_pass), expected);
  }
}

TEST(WriteSigns, leaves_a_negation_that_others_read) {
  Written w;
  const F minus = -w.y;
  w.output(w.x + minus);
  w.s.output("minus", minus.id);
  EXPECT_FALSE(w.changes(write_signs_pass));
}

TEST(WriteSigmoid, for_the_logistic_function_spelled_out) {
  const std::pair<std::function<F(F)>, std::vector<std::string>> cases[] = {
      {[](F x) { return 1 / (1 + call("Exp", -x)); }, {"Sigmoid"}},
      {[](F x) { return call("Reciprocal", call("Exp", -x) + 1); }, {"Sigmoid"}},
      {[](F x) { return x / (1 + call("Exp", -x)); }, {"Sigmoid", "Mul"}}};
  for (const auto& [write, expected] : cases) {
    Written w;
    w.output(write(w.x));
    EXPECT_EQ(w.after(write_sigmoid_pass, 1e-6), expected);
  }
}

TEST(WriteSigmoid, at_the_ends_of_the_range) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const bool times : {false, true}) {
    SmallGraph s;
    const F x{&s, s.input("x", {7})};
    const F below = 1 + call("Exp", -x);
    s.output("y", (times ? x / below : 1 / below).id);
    const Graph before = s.g;
    EXPECT_TRUE(write_sigmoid_pass.run(s.g, builtin_registry()));
    const Tensor in = Tensor::of<float>({7}, std::vector<float>{-infinity, -1000, -90, 0, 90, infinity, nan});
    EXPECT_TRUE(close(interpret(s.g, std::vector{in})[0], interpret(before, std::vector{in})[0], {1e-30, 1e-6}));
  }
}

TEST(WriteSigmoid, wants_the_logistic_function) {
  const std::function<F(F)> others[] = {[](F x) { return 1 / (2 + call("Exp", -x)); },
                                        [](F x) { return 1 / (1 + call("Exp", x)); },
                                        [](F x) { return 1 / (1 - call("Exp", -x)); }};
  for (const auto& write : others) {
    Written w;
    w.output(write(w.x));
    EXPECT_FALSE(w.changes(write_sigmoid_pass));
  }
  Written w;
  w.output(1 / (2 + call("Exp", -w.x)));
  EXPECT_EQ(write_sigmoid_pass.near_misses(w.s.g)[0].reason, "it adds 2, not 1");
}

TEST(FactorOut, what_is_large) {
  for (const int order : {0, 1, 2, 3}) {
    Written w;
    const F product = order % 2 ? w.small * w.x : w.x * w.small;
    w.output(order / 2 ? product + w.x : w.x + product);
    EXPECT_THAT(w.after(factor_out_pass, 1e-6), ElementsAre("Add", "Mul"));
  }
}

TEST(FactorOut, leaves_equals_and_products_that_others_read) {
  Written equal;
  equal.output(equal.x + equal.x * equal.y);
  EXPECT_FALSE(equal.changes(factor_out_pass));
  Written read;
  const F product = read.x * read.small;
  read.output(read.x + product);
  read.s.output("product", product.id);
  EXPECT_FALSE(read.changes(factor_out_pass));
}

}  // namespace
}  // namespace tessera
