// Each pass on its own before and after, and all together.
#include "runtime/pass/passes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/op/context.h"
#include "runtime/pass/bind_shapes.h"
#include "tests/support/rewritten.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(RemoveDead, keeps_what_outputs_need) {
  SmallGraph e;
  const auto x = e.input("x", {2});
  e.node("Relu", {e.node("Relu", {x})});
  e.output("y", e.node("Add", {x, x}));
  EXPECT_TRUE(apply(remove_dead_pass, e.g));
  EXPECT_THAT(ops(e.g), ElementsAre("Add"));
  EXPECT_EQ(e.g.values.size(), 2u);
}

TEST(FoldConstants, computes_shape_arithmetic_of_values_that_are_not_constant) {
  // Reshape(x, Concat(Gather(Shape(x), 0), -1)), as exporters write flatten.
  Graph g;
  GraphBuilder build(g, builtin_registry());
  const auto x = build.input("x", DType::f32, SymbolicShape{{-1, "batch"}, {3, ""}, {4, ""}});
  const auto batch = build.node("Gather", {build.node("Shape", {x}), build.constant(tensor_from_text("i64{0}"))});
  const auto shape = build.node("Concat", {batch, build.ints({-1})}, {{"axis", std::int64_t{0}}});
  build.output("y", build.node("Reshape", {x, shape}));
  EXPECT_FALSE(g.values.back().shape);
  bind_shapes(g, {.shapes = {}, .symbols = {{"batch", 5}}});
  EXPECT_TRUE(apply(fold_constants_pass, g));
  EXPECT_THAT(ops(g), ElementsAre("Reshape"));
  EXPECT_EQ(*g.at(g.outputs[0].value).shape, (Shape{5, 12}));
}

TEST(FoldConstants, casts_weights_of_any_size_to_narrower_types_only) {
  SmallGraph e;
  const auto weight = [&](DType t) { return e.build.constant(Tensor::zeros(t, {5, 1024, 1024})); };
  const auto cast = [&](ValueId v, DType to) { return e.node("Cast", {v}, {{"to", static_cast<std::int64_t>(to)}}); };
  e.output("narrower", cast(weight(DType::f32), DType::bf16));
  e.output("wider", cast(weight(DType::bf16), DType::f32));
  EXPECT_TRUE(apply(fold_constants_pass, e.g));
  EXPECT_TRUE(e.g.is_constant(e.g.outputs[0].value));
  EXPECT_FALSE(e.g.is_constant(e.g.outputs[1].value));
}

TEST(FoldConstants, does_not_turn_a_small_file_into_a_large_process) {
  SmallGraph e;
  e.output("small", e.node("Expand", {e.constant("1"), e.build.ints({256, 1024})}));
  e.output("large", e.node("Expand", {e.constant("2"), e.build.ints({257, 1024})}));
  EXPECT_TRUE(apply(fold_constants_pass, e.g));
  EXPECT_THAT(ops(e.g), ElementsAre("Expand"));
  EXPECT_TRUE(e.g.is_constant(e.g.outputs[0].value));
}

TEST(FoldConstants, leaves_what_it_is_told_to_keep) {
  SmallGraph e;
  const auto w = e.weight("w", "{1, -2}");
  e.output("y", e.node("Add", {e.node("Relu", {w}), e.constant("1")}));
  Graph kept = e.g;
  fold_constants(kept, builtin_registry(), {"w"});
  EXPECT_THAT(ops(kept), ElementsAre("Relu", "Add"));
  apply(fold_constants_pass, e.g);
  EXPECT_THAT(ops(e.g), IsEmpty());
}

TEST(FoldConstants, names_the_node_that_cannot_be_computed) {
  SmallGraph e;
  e.output("y", e.named("embed", "Gather", {e.constant("{1, 2}"), e.constant("i64{7}")}));
  try {
    simplify(e.g, builtin_registry());
    FAIL() << "an index out of range was folded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_input);
    EXPECT_THAT(error.what(), HasSubstr("node 'embed' (Gather)"));
  }
}

TEST(Simplify, what_nobody_reads_cannot_fail) {
  SmallGraph e;
  const auto x = e.input("x", {2});
  e.named("embed", "Gather", {e.constant("{1, 2}"), e.constant("i64{7}")});
  e.output("y", e.node("Relu", {x}));
  simplify(e.g, builtin_registry());
  EXPECT_THAT(ops(e.g), ElementsAre("Relu"));
}

TEST(DropIdentity, asks_the_operator) {
  SmallGraph e;
  const auto x = e.input("x", {2, 3});
  const auto a = e.node("Reshape", {x, e.build.ints({2, 3})});
  const auto b = e.node("Cast", {a}, {{"to", std::int64_t{1}}});
  const auto c = e.node("Identity", {b});
  e.output("same", c);
  e.output("other", e.node("Reshape", {c, e.build.ints({3, 2})}));
  EXPECT_TRUE(apply(drop_identity_pass, e.g));
  EXPECT_THAT(ops(e.g), ElementsAre("Reshape"));
  EXPECT_EQ(e.g.outputs[0].value, x);
  EXPECT_EQ(e.g.outputs[0].name, "same");
}

TEST(MergeConstants, by_bits_and_type) {
  SmallGraph e;
  const auto x = e.input("x", {2});
  auto y = x;
  for (const char* text : {"0", "-0", "0", "{0}", "0"}) y = e.node("Add", {y, e.constant(text)});
  e.output("y", y);
  EXPECT_TRUE(apply(merge_constants_pass, e.g));
  int constants = 0;
  for (const auto& v : e.g.values) constants += bool(v.constant);
  EXPECT_EQ(constants, 3);
}

TEST(MergeDuplicates, follows_chains_and_heeds_attributes) {
  SmallGraph e;
  const auto x = e.input("x", {2, 2});
  const auto half = [&](std::int64_t axis) { return e.node("Relu", {e.node("Concat", {x, x}, {{"axis", axis}})}); };
  e.output("a", half(0));
  e.output("b", half(0));
  e.output("c", half(1));
  EXPECT_TRUE(apply(merge_duplicates_pass, e.g));
  EXPECT_THAT(ops(e.g), ElementsAre("Concat", "Relu", "Concat", "Relu"));
  EXPECT_EQ(e.g.outputs[0].value, e.g.outputs[1].value);
  EXPECT_NE(e.g.outputs[0].value, e.g.outputs[2].value);
}

TEST(MergeDuplicates, leaves_random_numbers_alone) {
  static const OpDef noise{.name = "Noise",
                           .domain = "test",
                           .inputs = {{"x", "T", ""}},
                           .outputs = {{"y", "T", ""}},
                           .types = {{"T", dtypes::all}},
                           .shape = [](ShapeContext& c) { c.out(0, c.in(0)); },
                           .random = true,
                           .kernel = [](const KernelContext&) {}};
  SmallGraph e;
  const auto x = e.constant("{1, 2}");
  e.output("a", e.build.add(noise, "a", {x}, {}, {"a"})[0]);
  e.output("b", e.build.add(noise, "b", {x}, {}, {"b"})[0]);
  simplify(e.g, builtin_registry());
  EXPECT_THAT(ops(e.g), ElementsAre("Noise", "Noise"));
}

TEST(Simplify, can_be_told_to_leave_passes_out) {
  SmallGraph e;
  const auto x = e.input("x", {2});
  e.output("y", e.node("Identity", {x}));
  Graph g = e.g;
  simplify(g, builtin_registry(), {{"drop_identity"}});
  EXPECT_THAT(ops(g), ElementsAre("Identity"));
  simplify(g, builtin_registry());
  EXPECT_THAT(ops(g), IsEmpty());

  for (const char* name : {"drop_identities", "fold_constants"}) try {
      simplify(g, builtin_registry(), {{name}});
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_input);
      EXPECT_THAT(error.what(), HasSubstr(name));
    }
}

TEST(RunPasses, ends_with_an_error_where_passes_undo_each_other) {
  const auto one = [](Graph&, const Registry&) { return 1; };
  const auto none = [](Graph&, const Registry&) { return 0; };
  const PassDef there{.name = "there", .doc = {}, .source = {}, .run = one},
      back{.name = "back", .doc = {}, .source = {}, .run = one},
      quiet{.name = "quiet", .doc = {}, .source = {}, .run = none};
  SmallGraph e;
  e.output("y", e.node("Relu", {e.input("x", {2})}));
  const PassDef* const passes[] = {&there, &quiet, &back};
  try {
    run_passes(passes, e.g, builtin_registry());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::internal);
    EXPECT_THAT(error.what(), HasSubstr("there, back"));
  }
}

TEST(Passes, have_names_and_documentation) {
  for (const auto* pass : all_passes()) {
    EXPECT_FALSE(pass->name.empty());
    EXPECT_FALSE(pass->doc.empty()) << pass->name;
    EXPECT_FALSE(pass->source.empty()) << pass->name;
  }
}

}  // namespace
}  // namespace tessera
