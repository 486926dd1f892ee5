// Nodes of opsets 1 to 6 by what their versions say: broadcasting from an axis on, attributes that are inputs today.
#include <gmock/gmock.h>

#include "runtime/tensor/text.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/model_text.h"

namespace tessera {
namespace {

std::string integer(const std::string& name, std::int64_t value) {
  return concat("attribute { name: \"", name, "\" i: ", value, " type: INT } ");
}

// y of a model of one node `op` on the inputs x0, x1, ...; the dims of x0 are names where `symbolic`.
Tensor y_of(int opset, const std::string& op, const std::string& attributes, const std::vector<std::string>& inputs,
            bool symbolic = false) {
  std::string node = concat("node { op_type: \"", op, "\" output: \"y\" ", attributes), ports;
  std::map<std::string, Tensor> given;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string name = concat("x", i);
    const Tensor t = tensor_from_text(inputs[i]);
    node += concat("input: \"", name, "\" ");
    ports += input_text(name, t, [&](int axis) { return symbolic && i == 0 ? concat("n", axis) : std::string(); });
    given[name] = t;
  }
  return interpret(load_text(node + "} " + ports + "output { name: \"y\" }", {}, opset), given).at("y");
}

std::string text_of(int opset, const std::string& op, const std::string& attributes,
                    const std::vector<std::string>& inputs, bool symbolic = false) {
  return to_text(y_of(opset, op, attributes, inputs, symbolic));
}

TEST(OldOpsets, broadcast_from_an_axis_on) {
  struct {
    std::string op, a, b, y;
  } const cases[] = {
      {"Add", "{{{1, 2}}, {{3, 4}}}", "{10, 20}", "f32{{{11, 12}}, {{23, 24}}}"},
      {"Sub", "{{{1, 2}}, {{3, 4}}}", "{10, 20}", "f32{{{-9, -8}}, {{-17, -16}}}"},
      {"Mul", "{{{1, 2}}, {{3, 4}}}", "{10, 20}", "f32{{{10, 20}}, {{60, 80}}}"},
      {"Div", "{{{1, 2}}, {{3, 4}}}", "{2, 4}", "f32{{{0.5, 1}}, {{0.75, 1}}}"},
      {"Pow", "{{{1, 2}}, {{3, 4}}}", "{3, 2}", "f32{{{1, 8}}, {{9, 16}}}"},
      {"Greater", "{{{1, 2}}, {{3, 4}}}", "{1, 3}", "bool{{{false, true}}, {{false, true}}}"},
      {"Less", "{{{1, 2}}, {{3, 4}}}", "{2, 4}", "bool{{{true, false}}, {{true, false}}}"},
      {"Equal", "i32{{{1, 2}}, {{3, 4}}}", "i32{1, 4}", "bool{{{true, false}}, {{false, true}}}"},
      {"And", "bool{{{true, false}}, {{true, true}}}", "bool{true, false}", "bool{{{true, false}}, {{false, false}}}"},
      {"Or", "bool{{{true, false}}, {{false, false}}}", "bool{false, true}", "bool{{{true, false}}, {{true, true}}}"},
      {"Xor", "bool{{{true, false}}, {{true, false}}}", "bool{false, true}", "bool{{{true, false}}, {{false, true}}}"}};
  for (const auto& c : cases)
    for (const bool symbolic : {false, true})
      for (const int axis : {0, -3})
        EXPECT_EQ(text_of(6, c.op, integer("broadcast", 1) + integer("axis", axis), {c.a, c.b}, symbolic), c.y)
            << c.op << (symbolic ? " symbolic" : "");
}

TEST(OldOpsets, broadcast_along_the_last_axes_unless_told_otherwise) {
  EXPECT_EQ(text_of(6, "Add", integer("broadcast", 1), {"{{1, 2}, {3, 4}}", "{10, 20}"}), "f32{{11, 22}, {13, 24}}");
  EXPECT_EQ(text_of(6, "Add", integer("broadcast", 1) + integer("axis", 1), {"{{{1}, {2}}, {{3}, {4}}}", "{{5}, {6}}"}),
            "f32{{{6}, {8}}, {{8}, {10}}}");
  EXPECT_EQ(text_of(1, "Add", "attribute { name: \"consumed_inputs\" ints: 0 ints: 0 type: INTS }", {"{1}", "{2}"}),
            "f32{3}");
  EXPECT_THAT(failure_of_text("node { op_type: \"Add\" input: \"x\" input: \"x\" output: \"y\" " +
                                  integer("broadcast", 1) + integer("axis", 1) + "} " +
                                  input_text("x", tensor_from_text("{{1, 2}}")) + "output { name: \"y\" }",
                              {}, 6)
                  .text,
              testing::HasSubstr("axes from 1 on of [1x2] are too few for [1x2]"));
}

TEST(OldOpsets, slopes_of_channels) {
  for (const bool symbolic : {false, true})
    EXPECT_EQ(text_of(6, "PRelu", "", {"{{{-1, 2}, {-3, -4}}}", "{2, 0.5}"}, symbolic), "f32{{{-2, 2}, {-1.5, -2}}}");
  EXPECT_EQ(text_of(6, "PRelu", "", {"{{{-1, 2}, {-3, -4}}}", "{2}"}), "f32{{{-2, 2}, {-6, -8}}}");
}

TEST(OldOpsets, attributes_that_went) {
  EXPECT_EQ(text_of(6, "Gemm", integer("broadcast", 1), {"{{1, 2}}", "{{3}, {4}}", "{10}"}), "f32{{21}}");
  EXPECT_EQ(
      text_of(6, "BatchNormalization", integer("is_test", 1) + "attribute { name: \"epsilon\" f: 1 type: FLOAT } ",
              {"{{{1, 3}, {2, 6}}}", "{2, 1}", "{0, 1}", "{2, 4}", "{3, 0}"}),
      "f32{{{-1, 1}, {-1, 3}}}");
  EXPECT_EQ(text_of(6, "Dropout", integer("is_test", 1), {"{1, 2}"}), "f32{1, 2}");
  EXPECT_THAT(failure_of_text("node { op_type: \"Dropout\" input: \"x\" output: \"y\" } " +
                                  input_text("x", tensor_from_text("{1, 2}")) + "output { name: \"y\" }",
                              {}, 6)
                  .text,
              testing::HasSubstr("Dropout in training (is_test is 0) is supported from opset 12 on"));
  EXPECT_EQ(
      text_of(6, "RNN",
              integer("output_sequence", 1) + "attribute { name: \"activations\" strings: \"Relu\" type: STRINGS }",
              {"{{{1}}, {{2}}}", "{{{3}}}", "{{{0.5}}}"}),
      "f32{{{{3}}}, {{{7.5}}}}");
}

TEST(OldOpsets, attributes_that_became_inputs) {
  EXPECT_EQ(text_of(4, "Reshape", "attribute { name: \"shape\" ints: 2 ints: -1 type: INTS }", {"{1, 2, 3, 4}"}),
            "f32{{1, 2}, {3, 4}}");
  EXPECT_EQ(
      text_of(
          1, "Pad",
          "attribute { name: \"paddings\" ints: 1 ints: 0 type: INTS } attribute { name: \"value\" f: 7 type: FLOAT }",
          {"{1, 2}"}),
      "f32{7, 1, 2}");
  EXPECT_EQ(
      text_of(
          6, "Upsample",
          "attribute { name: \"width_scale\" f: 2 type: FLOAT } attribute { name: \"height_scale\" f: 1 type: FLOAT }",
          {"{{{{1, 2}}}}"}),
      "f32{{{{1, 1, 2, 2}}}}");
}

TEST(OldOpsets, types_by_name_and_other_defaults) {
  EXPECT_EQ(text_of(5, "Cast", "attribute { name: \"to\" s: \"INT32\" type: STRING }", {"{1.5, -2}"}), "i32{1, -2}");
  EXPECT_EQ(text_of(3, "Concat", "", {"{{1}, {2}}", "{{3}, {4}}"}), "f32{{1, 3}, {2, 4}}");
  EXPECT_TRUE(close(y_of(5, "Selu", "", {"{2}"}), tensor_from_text("{2.1014}"), {0, 0}));
}

TEST(OldOpsets, tile_along_one_axis) {
  const std::string node =
      "node { op_type: \"Tile\" input: \"x\" input: \"tiles\" input: \"axis\" output: \"y\" } output { name: \"y\" } ";
  const std::string numbers =
      "initializer { name: \"tiles\" data_type: 1 float_data: 2 } initializer { name: \"axis\" data_type: 1 "
      "float_data: 1 } ";
  const Tensor x = tensor_from_text("{{1, 2}, {3, 4}}");
  const auto out =
      interpret(load_text(node + numbers + input_text("x", x), {}, 5), std::map<std::string, Tensor>{{"x", x}});
  EXPECT_EQ(to_text(out.at("y")), "f32{{1, 2, 1, 2}, {3, 4, 3, 4}}");
}

}  // namespace
}  // namespace tessera
