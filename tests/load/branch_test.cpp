// The branches of If: captures become inputs of the node and of both branches, and references again when saved.
#include <gmock/gmock.h>

#include "runtime/load/load.h"
#include "runtime/load/save.h"
#include "tests/support/model_text.h"
#include "tests/support/same_graph.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string ports = R"(
  input { name: "c" type { tensor_type { elem_type: 9 } } }
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 2 } } } } }
  output { name: "y" } )";

// y = c ? x + u + w : relu(u), where u = relu(x) and w is a constant; `v` in both branches is another value in each.
std::string branching() {
  return R"(
    node { name: "u" op_type: "Relu" input: "x" output: "u" }
    node { name: "choose" op_type: "If" input: "c" output: "y"
      attribute { name: "then_branch" type: GRAPH g {
        node { name: "a" op_type: "Add" input: "x" input: "u" output: "v" }
        node { name: "b" op_type: "Add" input: "v" input: "w" output: "out" }
        output { name: "out" } } }
      attribute { name: "else_branch" type: GRAPH g {
        node { name: "d" op_type: "Relu" input: "u" output: "v" }
        output { name: "v" } } } }
    initializer { name: "w" data_type: 1 dims: 2 float_data: [1, 2] } )" +
         ports;
}

const GraphBody& body(const Node& node, const char* name) {
  return dynamic_cast<const GraphBody&>(*std::get<std::shared_ptr<const Subgraph>>(node.attributes.find(name)->second));
}
std::vector<std::string> input_names(const Graph& g) {
  std::vector<std::string> names;
  for (const auto& i : g.inputs) names.push_back(g.at(i.value).name);
  return names;
}

TEST(Branch, captures_are_inputs_of_the_node_and_of_both_branches) {
  const Graph g = load_text(branching());
  const Node& node = g.nodes[1];
  ASSERT_EQ(node.in.size(), 3u);
  EXPECT_EQ(g.at(node.in[1]).name, "u");
  EXPECT_EQ(g.at(node.in[2]).name, "x");
  for (const char* name : {"then_branch", "else_branch"})
    EXPECT_THAT(input_names(body(node, name).graph), ElementsAre("u", "x")) << name;
  const Graph& yes = body(node, "then_branch").graph;
  EXPECT_TRUE(yes.find("w")->constant) << "constants are shared, not passed";
  EXPECT_EQ(yes.nodes[0].name, "choose/then_branch/a");
  EXPECT_EQ(yes.find("v")->shape, std::optional(Shape{2}));
}

// The other branch reads the outer value of that name.
TEST(Branch, an_initializer_of_a_branch_goes_before_an_outer_value) {
  const Graph g = load_text(R"(
    node { name: "u" op_type: "Relu" input: "x" output: "w" }
    node { name: "choose" op_type: "If" input: "c" output: "y"
      attribute { name: "then_branch" type: GRAPH g {
        node { name: "a" op_type: "Relu" input: "w" output: "out" } output { name: "out" } } }
      attribute { name: "else_branch" type: GRAPH g {
        initializer { name: "w" data_type: 1 dims: 2 float_data: [2, 3] }
        node { name: "d" op_type: "Neg" input: "w" output: "out" } output { name: "out" } } } } )" +
                            ports);
  const Graph& no = body(g.nodes[1], "else_branch").graph;
  EXPECT_TRUE(no.is_constant(no.nodes[0].in[0]));
}

TEST(Branch, branches_in_branches_capture_through_both) {
  const Graph g = load_text(R"(
    node { name: "outer" op_type: "If" input: "c" output: "y"
      attribute { name: "then_branch" type: GRAPH g {
        node { name: "inner" op_type: "If" input: "c" output: "o"
          attribute { name: "then_branch" type: GRAPH g {
            node { op_type: "Relu" input: "x" output: "p" } output { name: "p" } } }
          attribute { name: "else_branch" type: GRAPH g {
            node { op_type: "Add" input: "x" input: "x" output: "q" } output { name: "q" } } } }
        output { name: "o" } } }
      attribute { name: "else_branch" type: GRAPH g {
        node { op_type: "Relu" input: "x" output: "r" } output { name: "r" } } } } )" +
                            ports);
  const Graph& yes = body(g.nodes[0], "then_branch").graph;
  EXPECT_THAT(input_names(yes), ElementsAre("x", "c"));
  EXPECT_EQ(yes.nodes[0].name, "outer/then_branch/inner");
  EXPECT_THAT(input_names(body(yes.nodes[0], "else_branch").graph), ElementsAre("x"));
}

TEST(Branch, saving_writes_references_to_outer_names) {
  const ScratchFolder folder;
  const Graph g = load_text(branching());
  save(g, folder.at("m.onnx"));
  const Graph back = load(folder.at("m.onnx"), builtin_registry());
  EXPECT_EQ(difference(g, back), "");
}

TEST(Branch, malformed_branches_are_refused) {
  const std::string head = R"(node { name: "choose" op_type: "If" input: "c" output: "y" )";
  const std::string yes = R"(attribute { name: "then_branch" type: GRAPH g {
        node { op_type: "Relu" input: "x" output: "o" } output { name: "o" } } })";
  EXPECT_THAT(failure_of_text(head + yes + "}" + ports).text, HasSubstr("else_branch"));
  const Failure undefined = failure_of_text(head + yes + R"(attribute { name: "else_branch" type: GRAPH g {
        node { op_type: "Relu" input: "nowhere" output: "o" } output { name: "o" } } } })" +
                                            ports);
  EXPECT_EQ(undefined.code, 2);
  EXPECT_THAT(undefined.text, HasSubstr("reads 'nowhere', which nothing defines"));
  const Failure differing = failure_of_text(head + yes + R"(attribute { name: "else_branch" type: GRAPH g {
        node { op_type: "Greater" input: "x" input: "x" output: "o" } output { name: "o" } } } })" +
                                            ports);
  EXPECT_EQ(differing.code, 2);
}

}  // namespace
}  // namespace tessera
