// Chains of pointwise operators run as one node, with the same bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "ops/pointwise_steps.h"
#include "tests/support/graph_notation.h"
#include "tests/support/rewritten.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> steps(const Node& n) { return std::get<std::vector<std::string>>(n.attributes.at("steps")); }

TEST(FuseElementwise, writes_the_chain_down) {
  // Gate and residual of a transformer block: x + (y + bias) * gate.
  SmallGraph e;
  const auto x = e.input("x", {1, 64, 256}), y = e.input("y", {1, 64, 256}), gate = e.input("gate", {1, 1, 256});
  const auto bias = e.input("bias", {256});
  const auto sum = e.node("Add", {bias, y});
  e.output("z", e.named("residual", "Add", {x, e.node("Mul", {sum, gate})}));
  EXPECT_TRUE(apply(fuse_elementwise_pass, e.g));
  EXPECT_THAT(ops(e.g), ElementsAre("Fused"));
  const Node& n = e.g.nodes[0];
  EXPECT_EQ(n.name, "residual");
  EXPECT_THAT(n.in, ElementsAre(y, x, bias, gate)) << "what may be written over comes first";
  EXPECT_THAT(steps(n), ElementsAre("Add(x2, x0)", "Mul(s0, x3)", "Add(x1, s1)"));
}

TEST(FuseElementwise, joins_trees_and_diamonds_and_keeps_attributes) {
  SmallGraph e;
  const auto x = e.input("x", {64, 256});
  const auto a = e.node("Exp", {x}), b = e.node("Neg", {a});
  const auto c = e.node("Gelu", {e.node("Mul", {a, b})}, {{"approximate", std::string("tanh")}});
  e.output("y", e.node("Clip", {c, ValueId::none, e.constant("2")}));
  EXPECT_TRUE(apply(fuse_elementwise_pass, e.g));
  EXPECT_THAT(ops(e.g), ElementsAre("Fused"));
  EXPECT_THAT(steps(e.g.nodes[0]),
              ElementsAre("Exp(x0)", "Neg(s0)", "Mul(s0, s1)", "Gelu(s2, approximate=\"tanh\")", "Clip(s3, _, x1)"));
}

TEST(FuseElementwise, leaves_values_that_others_read_and_says_so) {
  SmallGraph e;
  const auto x = e.input("x", {64, 256});
  const auto a = e.node("Exp", {x});
  e.output("a", a);
  e.output("y", e.named("last", "Neg", {a}));
  EXPECT_FALSE(apply(fuse_elementwise_pass, e.g));
  const auto misses = fuse_elementwise_pass.near_misses(e.g);
  ASSERT_EQ(misses.size(), 1u);
  EXPECT_EQ(misses[0].node, "last");
  EXPECT_THAT(misses[0].reason, HasSubstr("also read by others"));
}

TEST(FuseElementwise, leaves_small_tensors_and_what_is_computed_once_for_all_rows) {
  SmallGraph e;
  const auto x = e.input("x", {64, 256}), scale = e.input("scale", {256});
  const auto one_more = e.node("Add", {scale, e.constant("1")});
  e.output("y", e.node("Exp", {e.node("Mul", {x, one_more})}));
  e.output("small", e.node("Exp", {e.node("Neg", {scale})}));
  EXPECT_TRUE(apply(fuse_elementwise_pass, e.g));
  EXPECT_THAT(ops(e.g), ElementsAre("Add", "Fused", "Neg", "Exp"));
}

TEST(PointwiseSteps, read_as_they_are_written) {
  for (const std::string text : {"Mul(x0, s1)", "Gelu(x1, approximate=\"tanh\")", "Clip(s1, _, x0)",
                                 "Swish(s0, alpha=1.702)", "Cast(x0, to=7)"}) {
    const std::vector<std::string> texts{"Neg(x0)", "Add(s0, x1)", text};
    EXPECT_EQ(to_text(parse_steps(texts, 2).back(), 2), text);
  }
}

TEST(PointwiseSteps, say_what_is_wrong) {
  const std::pair<const char*, const char*> cases[] = {{"Mul(x0, x9)", "input x9 is not among the 2 inputs"},
                                                       {"Mul(x0, s0)", "step s0 is not among"},
                                                       {"Mull(x0)", "there is no operator 'Mull'"},
                                                       {"MatMul(x0, x1)", "must be pointwise"},
                                                       {"tessera::Fused(x0)", "must be pointwise"},
                                                       {"Swish(x0, beta=1)", "has no attribute 'beta'"},
                                                       {"Swish(x0, alpha=)", "expected a number"},
                                                       {"Mul(x0 x1)", "expected ','"},
                                                       {"Mul(x0, x1) ", "nothing may follow"},
                                                       {"Mul(x0,", "expected a name"},
                                                       {"", "expected a name"}};
  for (const auto& [text, message] : cases) try {
      parse_steps(std::vector<std::string>{text}, 2);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_input);
      EXPECT_THAT(error.what(), HasSubstr(message)) << text;
      EXPECT_THAT(error.what(), HasSubstr(concat("step \"", text, "\"")));
    }
}

// A random expression over operands that are full or broadcast along some axes, of several types.
class RandomTree {
 public:
  explicit RandomTree(unsigned seed) : random_(seed) {
    const Shape shapes[] = {{3, 5, 1031}, {2, 70, 64}, {40, 3, 2, 111}, {9001}, {130, 80, 1}, {17, 1, 700}};
    full_ = shapes[below(std::size(shapes))];
    pool_ = {operand(full_), operand(full_)};
    for (int i = 0; i < 12; ++i) pool_.push_back(step());
    e_.output("y", pool_.back());
    e_.output("z", pick());
  }
  Graph& graph() { return e_.g; }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }
  ValueId pick() { return pool_[pool_.size() - 1 - std::min(pool_.size() - 1, below(4))]; }
  ValueId operand(const Shape& shape) { return e_.input(concat("x", e_.g.inputs.size()), shape); }
  ValueId broadcast_operand() {
    Shape shape = full_;
    for (auto& d : shape)
      if (below(2)) d = 1;
    if (below(4) == 0) shape = Shape{};
    return operand(shape);
  }
  ValueId step() {
    const char* unary[] = {"Neg", "Exp", "Tanh", "Sigmoid", "Erf", "Gelu", "Swish", "Abs", "Sqrt", "Relu"};
    const char* binary[] = {"Add", "Sub", "Mul", "Div", "Max", "Min"};
    switch (below(6)) {
      case 0:
      case 1:
        return e_.node(unary[below(std::size(unary))], {pick()});
      case 2:
        return e_.node(binary[below(std::size(binary))], {broadcast_operand(), pick()});
      case 3:
        return e_.node(binary[below(std::size(binary))], {pick(), pick()});
      case 4: {
        const auto narrow = below(2) ? DType::bf16 : DType::f64;
        const auto there = e_.node("Cast", {pick()}, {{"to", static_cast<std::int64_t>(narrow)}});
        return e_.node("Cast", {e_.node("Exp", {there})}, {{"to", std::int64_t{1}}});
      }
      default:
        return e_.node("Where", {e_.node("Less", {pick(), broadcast_operand()}), pick(), broadcast_operand()});
    }
  }

  std::mt19937 random_;
  SmallGraph e_;
  Shape full_;
  std::vector<ValueId> pool_;
};

TEST(FuseElementwise, keeps_every_bit_of_random_trees) {
  int fused = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    RandomTree random(seed);
    const Graph before = random.graph();
    Graph after = before;
    fused += apply(fuse_elementwise_pass, after);
    const auto in = made_up_inputs(before), expected = interpret(before, in);
    for (const int threads : {1, 4}) {
      std::map<std::string, Tensor> got;
      with_threads(threads, [&] { got = interpret(after, in); });
      for (const auto& [name, t] : expected)
        ASSERT_TRUE(same_bits(t, got.at(name))) << "seed " << seed << ": " << notation(before);
    }
  }
  EXPECT_GT(fused, 40);
}

}  // namespace
}  // namespace tessera
