#include "runtime/pass/bind_shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/graph/build.h"

namespace tessera {
namespace {

using testing::HasSubstr;

// x [batch, 3], mask [batch, length], free (no shape).
Graph example() {
  Graph g;
  GraphBuilder build(g, builtin_registry());
  build.input("x", DType::f32, SymbolicShape{{-1, "batch"}, {3, ""}});
  build.input("mask", DType::f32, SymbolicShape{{-1, "batch"}, {-1, "length"}});
  return g;
}

std::string message(Graph g, const Binding& binding, bool complete = true) {
  try {
    bind_shapes(g, binding, complete);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::bad_input);
    return e.what();
  }
  return "";
}

TEST(BindShapes, symbols_reach_every_input) {
  Graph g = example();
  bind_shapes(g, {.shapes = {{"x", Shape{2, 3}}}, .symbols = {{"length", 7}}});
  EXPECT_EQ(*g.values[0].shape, (Shape{2, 3}));
  EXPECT_EQ(*g.values[1].shape, (Shape{2, 7}));
}

TEST(BindShapes, may_be_given_in_part) {
  Graph g = example();
  bind_shapes(g, {.shapes = {}, .symbols = {{"batch", 2}}}, false);
  EXPECT_EQ(*g.values[0].shape, (Shape{2, 3}));
  EXPECT_FALSE(g.values[1].shape);
  EXPECT_THAT(message(example(), {.shapes = {}, .symbols = {{"batch", 2}}}),
              testing::AllOf(HasSubstr("'mask'"), HasSubstr("[batchxlength]"), HasSubstr("--set length=N")));
}

TEST(BindShapes, says_what_does_not_fit) {
  EXPECT_THAT(message(example(), {.shapes = {{"y", Shape{1}}}, .symbols = {}}), HasSubstr("no input 'y'"));
  EXPECT_THAT(message(example(), {.shapes = {}, .symbols = {{"batsh", 1}}}), HasSubstr("did you mean 'batch'"));
  EXPECT_THAT(message(example(), {.shapes = {{"x", Shape{2}}}, .symbols = {}}), HasSubstr("rank 2"));
  EXPECT_THAT(message(example(), {.shapes = {{"x", Shape{2, 4}}}, .symbols = {}}),
              testing::AllOf(HasSubstr("dim 1 of input 'x' is 3"), HasSubstr("[2x4]")));
  EXPECT_THAT(message(example(), {.shapes = {{"x", Shape{2, 3}}, {"mask", Shape{5, 7}}}, .symbols = {}}),
              testing::AllOf(HasSubstr("'batch' is 2 (dim 0 of input 'x') and 5 (dim 0 of input 'mask')")));
  EXPECT_THAT(message(example(), {.shapes = {{"x", Shape{2, 3}}}, .symbols = {{"batch", 4}}}), HasSubstr("(given)"));
  EXPECT_THAT(message(example(), {.shapes = {{"x", Shape{-2, 3}}}, .symbols = {}}), HasSubstr("a dim of -2"));
}

TEST(BindShapes, one_element_passes_for_a_scalar) {
  Graph g;
  GraphBuilder(g, builtin_registry()).input("rate", DType::i64, SymbolicShape{});
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
    bind_shapes(g, {.shapes = {{"rate", shape}}, .symbols = {}});
    EXPECT_EQ(*g.values[0].shape, shape);
  }
  EXPECT_THAT(message(g, {.shapes = {{"rate", Shape{2}}}, .symbols = {}}), HasSubstr("rank 0"));
}

TEST(BindShapes, forgets_shapes_found_for_other_inputs) {
  Graph g = example();
  GraphBuilder build(g, builtin_registry());
  build.output("y", build.node("Relu", {ValueId{0}}));
  g.values[2].shape = Shape{9, 3};
  bind_shapes(g, {.shapes = {{"x", Shape{2, 3}}}, .symbols = {{"length", 7}}});
  EXPECT_FALSE(g.values[2].shape);
}

TEST(BindShapes, asks_for_a_shape_the_model_does_not_give) {
  Graph g;
  GraphBuilder build(g, builtin_registry());
  build.input("free", DType::f32, std::nullopt);
  EXPECT_THAT(message(g, {}), HasSubstr("--shape free="));
  bind_shapes(g, {.shapes = {{"free", Shape{4}}}, .symbols = {}});
  EXPECT_EQ(*g.values[0].shape, Shape{4});
}

}  // namespace
}  // namespace tessera
