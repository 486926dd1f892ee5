#include "runtime/train/differentiate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "runtime/graph/build.h"
#include "runtime/tensor/text.h"
#include "tests/support/central_difference.h"
#include "tests/support/interpret.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SymbolicShape dims(const Shape& shape) {
  SymbolicShape s;
  for (const auto d : shape) s.push_back({d, {}});
  return s;
}

struct Example {
  Graph g;
  GraphBuilder build{g, builtin_registry()};
  ValueId input(const char* name, const Shape& shape, DType t = DType::f64) {
    return build.input(name, t, dims(shape));
  }
};

Code code_of(const std::function<void()>& f, std::string* what = nullptr) {
  try {
    f();
  } catch (const Error& e) {
    if (what) *what = e.what();
    return e.code();
  }
  return Code::internal;
}

TEST(Differentiate, sums_the_gradients_of_a_value_read_twice) {
  Example e;
  const auto x = e.input("x", {2});
  e.build.output("y", e.build.node("Add", {x, x}));
  const auto d = differentiate(e.g, "y", {"x"}, builtin_registry());
  EXPECT_EQ(d.seed, "d.y");
  const auto out = interpret(d.graph, {{"x", tensor_from_text("f64{1, 2}")}, {"d.y", tensor_from_text("f64{10, 20}")}});
  EXPECT_EQ(to_text(out.at("d.x")), "f64{20, 40}");
  EXPECT_EQ(to_text(out.at("y")), "f64{2, 4}");
}

TEST(Differentiate, needs_no_seed_for_one_element) {
  Example e;
  const auto x = e.input("x", {1});
  e.build.output("y", e.build.node("Relu", {x}));
  const auto d = differentiate(e.g, "y", {"x"}, builtin_registry());
  EXPECT_EQ(d.seed, "");
  EXPECT_EQ(d.graph.inputs.size(), 1u);
}

TEST(Differentiate, reduces_over_broadcast_axes) {
  Example e;
  const auto a = e.input("a", {2, 1, 3}), b = e.input("b", {4, 1}), c = e.input("c", {});
  e.build.output("y", e.build.node("Add", {e.build.node("Add", {a, b}), c}));
  EXPECT_THAT(gradient_errors(e.g,
                              {tensor_from_text("f64{{{1, 2, 3}}, {{4, 5, 6}}}"),
                               tensor_from_text("f64{{1}, {2}, {3}, {4}}"), tensor_from_text("f64 0.5")},
                              builtin_registry()),
              IsEmpty());
}

TEST(Differentiate, finds_intermediate_values_and_weights) {
  Example e;
  const auto x = e.input("x", {2});
  const auto w = e.build.constant(tensor_from_text("f64{3, -4}"), "w");
  const auto h = e.build.add(builtin_registry().at("Add"), "fc", {x, w}, {}, {"h"})[0];
  e.build.output("y", e.build.node("Add", {e.build.node("Relu", {h}), x}));
  const auto d = differentiate(e.g, "y", {"h", "w", "x"}, builtin_registry());
  std::vector<std::string> names;
  for (const auto& o : d.graph.outputs) names.push_back(o.name);
  EXPECT_THAT(names, ElementsAre("y", "d.h", "d.w", "d.x"));
  const auto out = interpret(d.graph, {{"x", tensor_from_text("f64{1, 1}")}, {"d.y", tensor_from_text("f64{10, 20}")}});
  EXPECT_EQ(to_text(out.at("d.h")), "f64{10, 0}");
  EXPECT_EQ(to_text(out.at("d.w")), "f64{10, 0}");
  EXPECT_EQ(to_text(out.at("d.x")), "f64{20, 20}");
}

// The rule of Pad negates the pads: shapes behind such arithmetic are known at once.
TEST(Differentiate, folds_the_shape_arithmetic_of_rules) {
  Example e;
  const auto x = e.input("x", {2});
  e.build.output("y", e.build.node("Pad", {x, e.build.ints({1, 2})}));
  EXPECT_THAT(gradient_errors(e.g, {tensor_from_text("f64{1, 2}")}, builtin_registry()), IsEmpty());
}

TEST(Differentiate, reaches_through_empty_data) {
  const auto errors = [](std::string_view op, const Attributes& attributes, const std::vector<const char*>& inputs) {
    std::vector<Tensor> in;
    for (const auto* text : inputs) in.push_back(tensor_from_text(text));
    return gradient_errors(builtin_registry().at(op), attributes, in, {true});
  };
  const char* channels = "f64{1, 2, 3, 4}";
  EXPECT_THAT(errors("GroupNormalization", {{"num_groups", std::int64_t{2}}}, {"f64[0x4x3]{}", channels, channels}),
              IsEmpty());
  EXPECT_THAT(errors("InstanceNormalization", {}, {"f64[2x4x0]{}", channels, channels}), IsEmpty());
  EXPECT_THAT(
      errors("RotaryEmbedding", {{"num_heads", std::int64_t{2}}}, {"f64[2x0x8]{}", "f64[2x0x2]{}", "f64[2x0x2]{}"}),
      IsEmpty());
  EXPECT_THAT(errors("MatMul", {}, {"f64[3x0x2]{}", "f64{{1, 2}, {3, 4}}"}), IsEmpty());
}

TEST(Differentiate, gives_zeros_where_nothing_depends) {
  Example e;
  const auto x = e.input("x", {2});
  e.input("z", {3});
  e.build.output("y", e.build.node("Relu", {x}));
  const auto d = differentiate(e.g, "y", {"z"}, builtin_registry());
  const auto out = interpret(d.graph, {{"x", tensor_from_text("f64{1, 1}")},
                                       {"z", tensor_from_text("f64{1, 1, 1}")},
                                       {"d.y", tensor_from_text("f64{10, 20}")}});
  EXPECT_EQ(to_text(out.at("d.z")), "f64{0, 0, 0}");
}

TEST(Differentiate, writes_only_what_is_asked_for) {
  Example e;
  const auto x = e.input("x", {2}), z = e.input("z", {2});
  e.build.output("y", e.build.node("Add", {e.build.node("Relu", {x}), e.build.node("Relu", {z})}));
  const auto one = differentiate(e.g, "y", {"x"}, builtin_registry());
  const auto two = differentiate(e.g, "y", {"x", "z"}, builtin_registry());
  EXPECT_LT(one.graph.nodes.size(), two.graph.nodes.size());
  EXPECT_EQ(one.graph.nodes[3].name, "d." + e.g.nodes[0].name);
}

TEST(Differentiate, refuses_what_has_no_gradient) {
  Example e;
  const auto x = e.input("x", {2});
  e.input("i", {2}, DType::i64);
  e.build.output("y", e.build.node("Relu", {x}));
  std::string what;
  EXPECT_EQ(code_of([&] { differentiate(e.g, "y", {"i"}, builtin_registry()); }, &what), Code::bad_input);
  EXPECT_THAT(what, HasSubstr("'i' is i64"));
  EXPECT_EQ(code_of([&] { differentiate(e.g, "y", {"X1"}, builtin_registry()); }, &what), Code::bad_input);
  EXPECT_THAT(what, HasSubstr("no value 'X1'"));
  EXPECT_EQ(code_of([&] { differentiate(e.g, "y", {"x", "x"}, builtin_registry()); }), Code::bad_input);
}

TEST(Differentiate, refuses_an_output_under_the_name_of_a_gradient) {
  Example e;
  const auto x = e.input("x", {1}), z = e.input("z", {1});
  const auto y = e.build.node("Mul", {x, z});
  e.build.output("y", y);
  e.build.output("d.x", e.build.node("Relu", {y}));
  std::string what;
  EXPECT_EQ(code_of([&] { differentiate(e.g, "y", {"z", "x"}, builtin_registry()); }, &what), Code::bad_input);
  EXPECT_THAT(what, HasSubstr("output 'd.x', which is the name of the gradient with respect to 'x'"));
  EXPECT_EQ(differentiate(e.g, "y", {"z"}, builtin_registry()).graph.outputs.size(), 3u);
}

TEST(Differentiate, names_the_node_whose_rule_is_missing) {
  static const OpDef twice{.name = "Twice",
                           .domain = "test",
                           .inputs = {{"x", "T", ""}},
                           .outputs = {{"y", "T", ""}},
                           .types = {{"T", dtypes::all}},
                           .shape = [](ShapeContext&) {},
                           .gradient = gradient_missing};
  Example e;
  const auto x = e.input("x", {2});
  e.build.output("y", e.build.add(twice, "layer.3", {x}, {}, {"h"})[0]);
  std::string what;
  e.g.values[1].shape = Shape{2};
  EXPECT_EQ(code_of([&] { differentiate(e.g, "y", {"x"}, builtin_registry()); }, &what), Code::unsupported);
  EXPECT_THAT(what, HasSubstr("gradient of 'Twice' is not written"));
  EXPECT_THAT(what, HasSubstr("layer.3"));
}

}  // namespace
}  // namespace tessera
