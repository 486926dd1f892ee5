// Bad models: each a clear message and its exit code. (Fuzzed ones are in tests/fuzz.)
#include <gmock/gmock.h>

#include "runtime/load/load.h"
#include "runtime/load/tensor_file.h"
#include "tests/support/model_text.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/wire.h"

namespace tessera {
namespace {

using testing::HasSubstr;

const std::string x_to_y = R"(
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 2 } } } } } output { name: "y" } )";

struct Case {
  std::string graph;
  int code;
  std::string says;
  std::string rest = {};
  int opset = 17;
};

void expect_all(const std::vector<Case>& cases) {
  for (const auto& c : cases) {
    const Failure f = failure_of_text(c.graph, c.rest, c.opset);
    EXPECT_EQ(f.code, c.code) << c.graph << "\n" << f.text;
    EXPECT_THAT(f.text, HasSubstr(c.says)) << c.graph;
    EXPECT_THAT(f.text, HasSubstr("in model '")) << c.graph;
  }
}

std::string node(const std::string& rest) { return "node { name: \"n\" output: \"y\" " + rest + "}" + x_to_y; }

TEST(MalformedModel, graphs) {
  expect_all({
      {node(R"(op_type: "Add" input: "x" input: "z")"), 2, "node 'n' (Add) reads 'z', which nothing defines"},
      {node(R"(op_type: "Relu" input: "y")"), 2, "cycle: node 'n' (Relu), which reads node 'n' (Relu)"},
      {node(R"(op_type: "Relu" input: "x")") + R"(node { op_type: "Relu" input: "x" output: "y" })", 2,
       "value 'y' is defined twice"},
      {R"(node { op_type: "Relu" input: "x" output: "x" })" + x_to_y, 2, "value 'x' is defined twice"},
      {R"(node { op_type: "Relu" input: "x" output: "yy" })" + x_to_y, 2, "output 'y' is made by no node"},
      {node(R"(op_type: "Relu" input: "x")") + R"(input { name: "x" type { tensor_type { elem_type: 1 } } })", 2,
       "defined twice"},
      {node(R"(op_type: "Relu" input: "x")") + R"(input { name: "q" })", 2, "it has no type"},
      {node(R"(op_type: "Relu" input: "x")") + R"(input { name: "" type { tensor_type { elem_type: 1 } } })", 2,
       "no name"},
      {node(R"(op_type: "Relu" input: "q")") + R"(input { name: "q" type { tensor_type { elem_type: 77 } } })", 2,
       "element type 77"},
      {node(R"(op_type: "Relu" input: "q")") + R"(input { name: "q" type { sequence_type { } } })", 3, "no tensor"},
      {node(R"(op_type: "Relu" input: "q")") + R"(input { name: "q" type { tensor_type { elem_type: 8 } } })", 3,
       "string"},
      {R"(input { name: "y" type { tensor_type { elem_type: 1 shape { dim { dim_value: -3 } } } } } output { name: "y" })",
       2, "a dim of -3"},
      {R"(input { name: "y" type { tensor_type { elem_type: 1 shape { dim { dim_value: 1099511627776 }
          dim { dim_value: 1099511627776 } } } } } output { name: "y" })",
       2, "too many elements"},
      {R"(node { op_type: "Relu" input: "x" output: "y" } input { name: "x" type { tensor_type { elem_type: 1 } } }
          output { name: "y" type { tensor_type { elem_type: 7 } } })",
       2, "output 'y' is declared i64 but is f32"},
      {R"(input { name: "x" type { tensor_type { elem_type: 1 } } })", 2, "no outputs"},
  });
}

TEST(MalformedModel, operators_and_attributes) {
  expect_all({
      {node(R"(op_type: "Rellu" input: "x")"), 3, "no operator 'Rellu' in domain 'ai.onnx'; did you mean 'Relu'"},
      {node(R"(op_type: "Rellu" input: "x")"), 3, "the model imports ai.onnx version 17"},
      {node(R"(op_type: "Foo" domain: "com.example" input: "x")"), 3, "the model does not import 'com.example'"},
      {node(R"(op_type: "Foo" domain: "com.example" input: "x")"), 3, "imports com.example version 4",
       R"(opset_import { domain: "com.example" version: 4 })"},
      {node(R"(op_type: "Relu" input: "x" attribute { name: "bogus" i: 1 type: INT })"), 2, "no attribute 'bogus'"},
      {node(R"(op_type: "Concat" input: "x" attribute { name: "axis" i: 0 type: INT }
               attribute { name: "axis" i: 0 type: INT })"),
       2, "given twice"},
      {node(R"(op_type: "Concat" input: "x" attribute { name: "axis" f: 1 type: INT })"), 2,
       "declared INT but its value is"},
      {node(R"(op_type: "Concat" input: "x" attribute { name: "axis" ref_attr_name: "a" type: INT })"), 2,
       "outside of one"},
      {node(R"(op_type: "Cast" input: "x" attribute { name: "to" i: 4294967297 type: INT })"), 2,
       "attribute 'to' is 4294967297, which is no element type"},
      {node(R"(op_type: "Add" input: "x")"), 2, "needs input 'B'"},
      {node(R"(op_type: "Add" input: "" input: "x")"), 2, "needs input 'A'"},
      {node(R"(op_type: "Relu" input: "x" input: "x")"), 2, "takes at most 1 inputs"},
      {node(R"(op_type: "Relu" input: "x")"), 3, "opset 1000 of ai.onnx is not supported; supported are 1 to", "",
       1000},
      {node(R"(op_type: "Relu" input: "x")"), 2, "is imported in version 0", "", 0},
      {node(R"(op_type: "Relu" input: "x")"), 2, "imported in versions 17 and 16",
       R"(opset_import { domain: "ai.onnx" version: 16 })"},
      {node(R"(op_type: "Relu" input: "x")"), 2, "'F' of domain 'f' is defined twice",
       R"(functions { name: "F" domain: "f" } functions { name: "F" domain: "f" })"},
  });
}

// Also of the operators that an older version's adaptation reads.
TEST(MalformedModel, absent_inputs) {
  expect_all({
      {node(R"(op_type: "Max" input: "x" input: "" input: "x")"), 2,
       "input 1 of Max is absent, but one behind it is not: 'data_0' has no holes"},
      {node(R"(op_type: "Sum" input: "" input: "x")"), 2, "input 0 of Sum is absent"},
      {node(R"(op_type: "Dropout" output: "mask")"), 2, "Dropout needs input 'data'", "", 9},
      {node(R"(op_type: "Clip" attribute { name: "min" f: 0 type: FLOAT })"), 2, "Clip needs input 'input'", "", 10},
      {node(R"(op_type: "Pad" attribute { name: "value" f: 0 type: FLOAT })"), 2, "Pad needs input 'data'", "", 10},
      {node(R"(op_type: "Softmax" input: "" input: "x")"), 2, "Softmax needs input 'input'", "", 11},
  });
}

TEST(MalformedModel, attributes_that_an_import_reads) {
  const std::string as_float = R"(" f: 1 type: FLOAT } )", as_int = R"(" i: 10 type: INT } )";
  expect_all({
      {node(R"(op_type: "Softmax" input: "x" attribute { name: "axis)" + as_float), 2,
       "attribute 'axis' has the wrong type: float", "", 11},
      {node(R"(op_type: "GroupNormalization" input: "x" input: "x" input: "x" attribute { name: "num_groups)" +
            as_float),
       2, "attribute 'num_groups' has the wrong type: float", "", 18},
      {node(R"(op_type: "MultiHeadAttention" domain: "com.microsoft" input: "x" attribute { name: "num_heads)" +
            as_int + R"(attribute { name: "scale)" + as_int),
       2, "attribute 'scale' of MultiHeadAttention must be float, got int",
       R"(opset_import { domain: "com.microsoft" version: 1 })"},
      {node(R"(op_type: "LayerNormalization" input: "x" output: "mean" attribute { name: "stash_type)" + as_int), 2,
       "stash_type is 10; Mean and InvStdDev are f32 (1) or bf16 (16)"},
  });
}

TEST(MalformedModel, bytes) {
  const ScratchFolder folder;
  const std::string good =
      wire::number(1, 8) + wire::bytes(8, wire::number(2, 17)) +
      wire::bytes(7, wire::bytes(1, wire::bytes(1, "x") + wire::bytes(2, "y") + wire::bytes(4, "Relu")) +
                         wire::bytes(11, wire::bytes(1, "x") + wire::bytes(2, wire::bytes(1, wire::number(1, 1)))) +
                         wire::bytes(12, wire::bytes(1, "y")));
  const auto failure = [&](const std::string& bytes) { return failure_of(folder.write("m.onnx", bytes)); };
  EXPECT_EQ(failure(good).code, 0) << failure(good).text;
  EXPECT_EQ(failure(good + wire::bytes(900, "unknown")).code, 0) << "unknown fields are skipped";
  const std::pair<std::string, std::string> cases[] = {
      {"", "the file is empty"},
      {"\x08", "ends inside a number"},
      {"this is no model at all, but text", "byte "},
      {good.substr(0, good.size() - 1), "are left"},
      {good + "\x3a\xff\xff\xff\xff\x07", "graph of ModelProto has 2147483647 bytes but only 0 are left"},
      {wire::number(7, 5) + good, "field 'graph' of ModelProto has the wrong wire type 0"},
      {good + std::string(1, '\x0f'), "wire type 7"},
      {good + "\x9b\x06", "wire type 3"},
      {good + std::string("\x02\x00", 2), "field numbered 0"},
      {good + "\x08" + std::string(10, '\xff') + "\x01", "more than 10 bytes"},
  };
  for (const auto& [bytes, says] : cases) {
    const Failure f = failure(bytes);
    EXPECT_EQ(f.code, 2) << f.text;
    EXPECT_THAT(f.text, HasSubstr(says));
  }
  EXPECT_EQ(failure_of(folder.at("missing.onnx")).code, 2);
  EXPECT_EQ(failure_of(folder.path().string()).code, 2);
}

TEST(MalformedModel, text_errors_name_line_and_column) {
  const ScratchFolder folder;
  EXPECT_THAT(failure_of(folder.write("m.textproto", "ir_version: 8\ngraph { nodes { } }")).text,
              HasSubstr("line 2, column 15"));
}

TEST(MalformedModel, nesting_and_numbers_of_messages_are_bounded) {
  const ScratchFolder folder;
  std::string graph = wire::bytes(12, wire::bytes(1, "y"));
  for (int i = 0; i < 5000; ++i) graph = wire::bytes(1, wire::bytes(5, wire::bytes(6, graph)));
  EXPECT_THAT(failure_of(folder.write("m.onnx", wire::number(1, 8) + wire::bytes(7, graph))).text,
              HasSubstr("nested deeper"));
  std::string many;
  for (int i = 0; i < 10'000'001; ++i) many.append("\x0a\x00", 2);
  EXPECT_THAT(failure_of(folder.write("m.onnx", wire::number(1, 8) + wire::bytes(7, many))).text,
              HasSubstr("messages in one file"));
}

TEST(MalformedModel, tensor_files) {
  const ScratchFolder folder;
  for (const std::string& bytes : {std::string(), std::string("\x08"), wire::number(1, 3) + wire::number(2, 1),
                                   wire::number(2, 8), wire::bytes(9, "12")}) {
    try {
      read_tensor_file(folder.write("t.pb", bytes));
      ADD_FAILURE() << "accepted";
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("t.pb"));
    }
  }
}

}  // namespace
}  // namespace tessera
