#include "runtime/graph/print.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/small_graph.h"

namespace tessera {
namespace {

Graph example() {
  SmallGraph e;
  const auto x = e.input("x", {2, 6});
  const auto w = e.weight("w", "{{1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6}}");
  const auto h = e.named("fc\"1\"", "Add", {x, w});
  e.output("y", e.named("cat", "Concat", {h, h}, {{"axis", std::int64_t{0}}}));
  e.output("z", e.named("more", "Add", {h, e.constant("1")}));
  return e.g;
}

TEST(Print, lists_a_graph_in_order) {
  EXPECT_EQ(to_text(example()), R"(input   x: f32[2x6]
weight  w: f32[2x6]
fc"1": f32[2x6] = Add(x, w)  # fc"1"
cat: f32[4x6] = Concat(fc"1", fc"1") axis=0  # cat
more: f32[2x6] = Add(fc"1", f32 1)  # more
output  y = cat
output  z = more
)");
}

TEST(Print, shows_symbols_before_they_are_bound) {
  Graph g;
  GraphBuilder build(g, builtin_registry());
  build.output("y", build.node("Relu", {build.input("x", DType::f32, SymbolicShape{{-1, "batch"}, {3, ""}})}));
  EXPECT_THAT(to_text(g), testing::AllOf(testing::HasSubstr("x: f32[batchx3]"), testing::HasSubstr("f32? = Relu(x)")));
}

TEST(Print, escapes_names_for_graphviz) {
  const auto dot = to_dot(example());
  EXPECT_THAT(dot, testing::HasSubstr("digraph"));
  EXPECT_THAT(dot, testing::HasSubstr(R"(tooltip="fc\"1\"")"));
  EXPECT_THAT(dot, testing::HasSubstr("n0 -> n1 [label=\"f32[2x6]\"]"));
}

}  // namespace
}  // namespace tessera
