#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/graph/verify.h"
#include "runtime/pass/passes.h"
#include "tests/support/graph_notation.h"
#include "tests/support/interpret.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::Pair;

// h = relu(x + 1), or x itself, where x is what the branch captures; the second output is a constant.
std::shared_ptr<const GraphBody> branch(bool then) {
  SmallGraph b;
  const auto x = b.input("x", {2});
  b.output("h", then ? b.named("relu", "Relu", {b.named("sum", "Add", {x, b.weight("one", "{1, 1}")})}) : x);
  b.output("k", b.weight("k", then ? "1" : "2"));
  return std::make_shared<GraphBody>(b.g);
}

Graph example(const char* condition) {
  SmallGraph e;
  const auto x = e.input("x", {2});
  const auto c = condition ? e.constant(condition) : e.input("c", {}, DType::boolean);
  const auto out = e.build.add(builtin_registry().at("If"), "if", {c, e.named("in", "Relu", {x})},
                               {{"then_branch", branch(true)}, {"else_branch", branch(false)}}, {"h", "k"});
  e.output("y", e.named("last", "Add", {out[0], out[1]}));
  e.output("h", out[0]);
  return e.g;
}

TEST(InlineBranch, writes_the_branch_it_takes) {
  const Tensor x = tensor_from_text("{-3, 2}");
  for (const char* condition : {"bool{true}", "bool false"}) {
    const Graph before = example(condition);
    Graph after = before;
    EXPECT_TRUE(inline_branch_pass.run(after, builtin_registry()));
    verify(after);
    EXPECT_FALSE(inline_branch_pass.run(after, builtin_registry()));
    for (const auto& n : after.nodes) EXPECT_NE(n.op->name, "If");
    const auto expected = interpret(before, {&x, 1}), got = interpret(after, {&x, 1});
    for (std::size_t o = 0; o < got.size(); ++o) EXPECT_TRUE(same_bits(expected[o], got[o])) << notation(after);
  }
}

TEST(InlineBranch, keeps_names_one_can_find) {
  Graph g = example("bool true");
  simplify(g, builtin_registry());
  EXPECT_EQ(notation(g), "v0 = Relu(Add(Relu(x), f32{1, 1})); Add(v0, f32 1), v0");
  std::vector<std::pair<std::string, std::string>> names;  // of nodes and of what they compute
  for (const auto& n : g.nodes) names.emplace_back(n.name, g.at(n.out[0]).name);
  EXPECT_THAT(names, ElementsAre(Pair("in", "in"), Pair("sum", "if/sum"), Pair("relu", "h"), Pair("last", "last")));
}

TEST(InlineBranch, leaves_what_is_decided_during_the_run) {
  Graph g = example(nullptr);
  EXPECT_FALSE(inline_branch_pass.run(g, builtin_registry()));
  simplify(g, builtin_registry());
  EXPECT_EQ(g.nodes[1].op->name, "If");
}

}  // namespace
}  // namespace tessera
