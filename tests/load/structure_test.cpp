// Functions, branches, constants, adaptations: what the graph of the file becomes.
#include <gmock/gmock.h>

#include "runtime/load/load.h"
#include "runtime/op/context.h"
#include "runtime/tensor/text.h"
#include "tests/support/interpret.h"
#include "tests/support/model_text.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string x_to_y = R"(
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 2 } } } } } output { name: "y" } )";

std::vector<std::string> node_names(const Graph& g) {
  std::vector<std::string> names;
  for (const auto& n : g.nodes) names.push_back(n.name);
  return names;
}

TEST(Structure, constants_of_every_form_become_constants) {
  const Graph g = load_text(R"(
    node { op_type: "Constant" output: "a" attribute { name: "value_ints" ints: [3, 4] type: INTS } }
    node { op_type: "Constant" output: "b" attribute { name: "value_float" f: 0.5 type: FLOAT } }
    node { op_type: "Constant" output: "c" attribute { name: "value" type: TENSOR
           t { data_type: 9 dims: 1 int32_data: 1 } } }
    output { name: "a" } output { name: "b" } output { name: "c" })");
  EXPECT_TRUE(g.nodes.empty());
  EXPECT_EQ(to_text(g.find("a")->constant), "i64{3, 4}");
  EXPECT_EQ(to_text(g.find("b")->constant), "f32 0.5");
  EXPECT_EQ(to_text(g.find("c")->constant), "bool{true}");
}

TEST(Structure, initializers_listed_as_inputs_are_constants) {
  const Graph g = load_text(R"(
    node { op_type: "Add" input: "x" input: "w" output: "y" }
    initializer { name: "w" data_type: 1 dims: 2 float_data: [1, 2] }
    input { name: "w" type { tensor_type { elem_type: 1 } } })" +
                            x_to_y);
  ASSERT_EQ(g.inputs.size(), 1u);
  EXPECT_EQ(g.at(g.inputs[0].value).name, "x");
}

TEST(Structure, functions_are_inlined_with_qualified_names) {
  const Graph g = load_text(R"(
    node { name: "block" op_type: "Twice" domain: "f" input: "x" output: "y" })" +
                                x_to_y,
                            R"( opset_import { domain: "f" version: 1 }
    functions { name: "Twice" domain: "f" input: "a" output: "c" opset_import { domain: "" version: 17 }
                opset_import { domain: "f" version: 1 }
      node { name: "one" op_type: "Once" domain: "f" input: "a" output: "b" }
      node { name: "two" op_type: "Once" domain: "f" input: "b" output: "c" } }
    functions { name: "Once" domain: "f" input: "a" output: "b" opset_import { domain: "" version: 17 }
      node { name: "relu" op_type: "Relu" input: "a" output: "b" } })");
  EXPECT_THAT(node_names(g), ElementsAre("block/one/relu", "block/two/relu"));
  EXPECT_EQ(g.at(g.nodes[0].out[0]).name, "block/b");
  EXPECT_EQ(g.at(g.outputs[0].value).name, "y");
}

TEST(Structure, functions_take_attributes_of_the_call_or_their_defaults) {
  const std::string functions = R"( opset_import { domain: "f" version: 1 }
    functions { name: "Fill" domain: "f" output: "c" attribute_proto { name: "v" i: 7 type: INT }
                opset_import { domain: "" version: 17 }
      node { op_type: "Constant" output: "c" attribute { name: "value_int" ref_attr_name: "v" type: INT } } })";
  const auto filled = [&](const std::string& attribute) {
    return to_text(
        load_text("node { op_type: \"Fill\" domain: \"f\" output: \"y\" " + attribute + "} output { name: \"y\" }",
                  functions)
            .find("y")
            ->constant);
  };
  EXPECT_EQ(filled(""), "i64 7");
  EXPECT_EQ(filled("attribute { name: \"v\" i: 3 type: INT }"), "i64 3");
}

TEST(Structure, recursion_and_expansion_of_functions_are_bounded) {
  const std::string call = R"(node { op_type: "F" domain: "f" input: "x" output: "y" })" + x_to_y;
  const std::string import = R"( opset_import { domain: "f" version: 1 } )";
  EXPECT_THAT(failure_of_text(call, import + R"(functions { name: "F" domain: "f" input: "a" output: "b"
      node { op_type: "F" domain: "f" input: "a" output: "b" } })")
                  .text,
              HasSubstr("calls itself"));
  std::string functions = import;
  for (int depth = 0; depth < 8; ++depth) {
    std::string nodes;
    for (int i = 0; i < 10; ++i)
      nodes += "node { domain: \"f\" op_type: \"" + (depth == 7 ? "Leaf" : "F" + std::to_string(depth + 1)) + "\" }";
    functions += "functions { domain: \"f\" name: \"F" + (depth ? std::to_string(depth) : "") + "\" " + nodes + "}";
  }
  EXPECT_THAT(failure_of_text(call, functions).text, HasSubstr("1e+08 nodes"));
}

// Doubles its input since version 3; before, it tripled it. Version 1 said so with an attribute.
void shape(ShapeContext& c) { c.out(0, c.in(0)); }
void kernel(const KernelContext&) {}
void from_attribute(RewriteContext& c) { c.attribute_to_input("shape", 1); }
void from_tripling(RewriteContext& c) {
  const ValueId two = c.build.node("Add", {c.in[0], c.in[0]});
  c.become({c.build.node("Add", {two, c.in[0]})});
}
constexpr OpDef scaled = define({.name = "Scaled",
                                 .domain = "test",
                                 .since = 3,
                                 .doc = "Y = 2 X.",
                                 .source = "this test",
                                 .inputs = {{"X", "T", ""}, {"shape", "i64", "", Presence::optional}},
                                 .outputs = {{"Y", "T", ""}},
                                 .types = {{"T", dtypes::all}},
                                 .shape = shape,
                                 .kernel = kernel,
                                 .gradient = no_gradient,
                                 .adapt = {{2, from_attribute}, {3, from_tripling}},
                                 .examples = {"1 -> 2"}});

Graph load_scaled(int version, const std::string& attribute = {}) {
  Registry registry = builtin_registry();
  registry.add(scaled);
  return load_text(
      R"(node { name: "s" domain: "test" op_type: "Scaled" input: "x" output: "y" )" + attribute + "}" + x_to_y,
      " opset_import { domain: \"test\" version: " + std::to_string(version) + "}", 17, registry);
}

TEST(Structure, older_versions_are_adapted_in_ascending_order) {
  EXPECT_EQ(load_scaled(3).nodes[0].op->name, "Scaled");
  const Graph old = load_scaled(2);
  ASSERT_EQ(old.nodes.size(), 2u);
  EXPECT_EQ(old.nodes[1].op->name, "Add");
  EXPECT_EQ(old.at(old.outputs[0].value).name, "y");
  EXPECT_EQ(load_scaled(1, "attribute { name: \"shape\" ints: 2 type: INTS }").nodes.size(), 2u);
}

TEST(Structure, outputs_that_kernels_always_write_are_there_without_a_name) {
  const Graph g = load_text(R"(
    node { name: "t" op_type: "TopK" input: "x" input: "k" output: "" output: "places" }
    node { name: "p" op_type: "MaxPool" input: "x" output: "" output: "i"
           attribute { name: "kernel_shape" ints: 3 type: INTS } }
    node { name: "d" op_type: "Dropout" input: "x" output: "" output: "mask" }
    node { name: "l" op_type: "LayerNormalization" input: "x" output: "" output: "mean" }
    node { name: "s" op_type: "Split" input: "x" output: "a" output: "" output: "c"
           attribute { name: "axis" i: 2 type: INT } }
    node { name: "e" op_type: "Split" input: "x" output: "b" output: "" attribute { name: "axis" i: 2 type: INT } }
    initializer { name: "k" data_type: 7 dims: 1 int64_data: 2 }
    input { name: "x" type { tensor_type { elem_type: 1
            shape { dim { dim_value: 1 } dim { dim_value: 1 } dim { dim_value: 6 } } } } }
    output { name: "places" } output { name: "i" } output { name: "mask" } output { name: "mean" } output { name: "c" }
    output { name: "b" })");
  for (const auto& n : g.nodes) EXPECT_THAT(n.out, testing::Not(testing::Contains(ValueId::none))) << n.name;
  EXPECT_EQ(g.at(g.nodes[0].out[0]).name, "t.Values");
  EXPECT_EQ(g.nodes[5].out.size(), 2u);
  const auto out = interpret(g, {{"x", tensor_from_text("{{{1, 5, 3, 4, 2, 6}}}")}});
  EXPECT_EQ(to_text(out.at("places")), "i64{{{5, 1}}}");
  EXPECT_EQ(to_text(out.at("c")), "f32{{{2, 6}}}");
  EXPECT_EQ(to_text(out.at("b")), "f32{{{1, 5, 3}}}");
}

TEST(Structure, optional_outputs_without_a_name_are_not_computed) {
  const Graph g = load_text(R"(
    node { op_type: "RNN" input: "w" input: "w" input: "w" output: "" output: "y" }
    initializer { name: "w" data_type: 1 dims: [1, 1, 1] float_data: 1 } output { name: "y" })");
  EXPECT_EQ(g.nodes[0].out[0], ValueId::none);
}

TEST(Structure, older_softmax_of_nothing_keeps_its_shape) {
  const Graph g = load_text(R"(
    node { op_type: "Softmax" input: "x" output: "y" attribute { name: "axis" i: 1 type: INT } }
    input { name: "x" type { tensor_type { elem_type: 1
            shape { dim { dim_value: 2 } dim { dim_value: 3 } dim { dim_value: 0 } } } } }
    output { name: "y" })",
                            "", 11);
  EXPECT_EQ(interpret(g, {{"x", tensor_from_text("f32[2x3x0]{}")}}).at("y").shape(), (Shape{2, 3, 0}));
}

TEST(Structure, operators_newer_than_the_imported_version_are_unsupported) {
  const auto load = [](int version) {
    return load_text(R"(node { op_type: "Gelu" input: "x" output: "y" })" + x_to_y, "", version);
  };
  EXPECT_EQ(load(20).nodes[0].op->name, "Gelu");
  try {
    load(13);
    FAIL() << "Gelu was taken in version 13";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::unsupported);
    EXPECT_THAT(e.what(), HasSubstr("Gelu is in ai.onnx from version 20 on; the model imports version 13"));
  }
}

TEST(Structure, scope_comes_from_metadata_or_the_name) {
  const auto scope = [](const std::string& node) {
    return load_text("node { op_type: \"Relu\" input: \"x\" output: \"y\" " + node + "}" + x_to_y).nodes[0].scope;
  };
  EXPECT_EQ(scope(R"(name: "/blocks.0/attn/Relu_1")"), "blocks.0.attn");
  EXPECT_EQ(scope(R"(name: "node_relu")"), "");
  EXPECT_EQ(
      scope(R"(metadata_props { key: "pkg.torch.onnx.name_scopes" value: "['', 'blocks', 'blocks.0', 'relu']" })"),
      "blocks.0");
  EXPECT_EQ(scope(R"(metadata_props { key: "namespace" value: ": M/blocks.0: Block/relu: aten.relu.default" })"),
            "blocks.0");
}

TEST(Structure, metadata_is_kept) {
  const Graph g = load_text(R"(node { op_type: "Relu" input: "x" output: "y" })" + x_to_y,
                            R"( metadata_props { key: "license" value: "MIT" } producer_name: "me")");
  EXPECT_EQ(g.metadata.at("license"), "MIT");
  EXPECT_EQ(g.metadata.at("producer_name"), "me");
}

TEST(Structure, newer_ir_versions_are_read_while_only_known_fields_are_used) {
  const auto model = [](const std::string& ir) {
    return "ir_version: " + ir + " opset_import { domain: \"\" version: 17 } graph { output { name: \"a\" }" +
           "initializer { name: \"a\" data_type: 1 float_data: 1 } }";
  };
  const ScratchFolder folder;
  EXPECT_EQ(failure_of(folder.write("m.textproto", model("15"))).code, 0);
  EXPECT_EQ(failure_of(folder.write("m.textproto", model("0"))).code, 2);
  EXPECT_EQ(failure_of(folder.write("m.textproto", model("9999"))).code, 2);
}

}  // namespace
}  // namespace tessera
