#include "runtime/load/load.h"

#include <gmock/gmock.h>

#include "runtime/tensor/text.h"
#include "tests/support/model_text.h"

namespace tessera {
namespace {

using testing::HasSubstr;

TEST(Load, reads_nodes_weights_and_declared_shapes) {
  const Graph g = load_text(R"(
    node { name: "sum" op_type: "Add" input: "x" input: "w" output: "s" }
    node { op_type: "Relu" input: "s" output: "y" }
    name: "g"
    initializer { name: "w" data_type: 1 dims: 2 float_data: [1, 2] }
    input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_param: "n" } dim { dim_value: 2 } } } } }
    output { name: "y" })");
  ASSERT_EQ(g.nodes.size(), 2u);
  EXPECT_EQ(g.nodes[0].name, "sum");
  EXPECT_EQ(g.nodes[1].name, "Relu_1");
  EXPECT_EQ(to_text(g.find("w")->constant), "f32{1, 2}");
  EXPECT_EQ(g.inputs[0].declared->at(0).symbol, "n");
  EXPECT_EQ(g.find("y")->dtype, DType::f32);
  EXPECT_EQ(g.opset, 17);
}

TEST(Load, made_up_names_of_nodes_leave_alone_those_that_the_file_gives) {
  const Graph g = load_text(R"(
    node { op_type: "Relu" input: "x" output: "a" }
    node { name: "same" op_type: "Relu" input: "a" output: "b" }
    node { name: "same" op_type: "Relu" input: "b" output: "c" }
    node { name: "same.1" op_type: "Relu" input: "c" output: "d" }
    node { name: "Relu_0" op_type: "Relu" input: "d" output: "e" }
    name: "g"
    input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 2 } } } } }
    output { name: "e" })");
  std::vector<std::string> names;
  for (const auto& n : g.nodes) names.push_back(n.name);
  EXPECT_THAT(names, testing::ElementsAre("Relu_0.1", "same", "same.2", "same.1", "Relu_0"));
}

TEST(Load, sorts_nodes) {
  const Graph g = load_text(R"(
    node { name: "second" op_type: "Relu" input: "s" output: "y" }
    node { name: "first" op_type: "Relu" input: "x" output: "s" }
    input { name: "x" type { tensor_type { elem_type: 1 } } }
    output { name: "y" })");
  EXPECT_EQ(g.nodes[0].name, "first");
}

TEST(Load, names_the_nodes_of_a_cycle) {
  EXPECT_THAT(failure_of_text(R"(
    node { name: "a" op_type: "Add" input: "x" input: "q" output: "p" }
    node { name: "b" op_type: "Relu" input: "p" output: "q" }
    input { name: "x" type { tensor_type { elem_type: 1 } } }
    output { name: "q" })")
                  .text,
              HasSubstr("cycle: node 'a' (Add), which reads node 'b' (Relu), which reads node 'a'"));
}

}  // namespace
}  // namespace tessera
