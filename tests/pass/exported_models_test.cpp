// What is left of really exported models once shapes are known: the real computation, whatever the exporter wrote
// around it.
#include <gtest/gtest.h>

#include <map>

#include "runtime/load/load.h"
#include "runtime/load/tensor_file.h"
#include "runtime/plan/specialise.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"

namespace tessera {
namespace {

Graph model(const std::string& name) {
  return load(TESSERA_SOURCE_DIR "/graphs/" + name + "/model.onnx", builtin_registry());
}

Graph folded(const Graph& g, const Binding& binding) {
  return graph_after(Stage::fold, g, binding, builtin_registry());
}

std::map<std::string_view, int> operators(const Graph& g) {
  std::map<std::string_view, int> count;
  for (const auto& n : g.nodes) ++count[n.op->name];
  return count;
}

TEST(ExportedModels, have_the_same_nodes_however_their_sizes_were_exported) {
  const Binding sizes{
      .shapes = {{"latent", Shape{1, 16, 8, 16, 16}}, {"timestep", Shape{1}}, {"context", Shape{1, 32, 64}}},
      .symbols = {}};
  const Graph fixed = folded(model("wan_dit"), {}), dynamic = folded(model("wan_dit_dynamic"), sizes);
  EXPECT_EQ(fixed.nodes.size(), 340u);
  EXPECT_EQ(operators(fixed), operators(dynamic));
}

TEST(ExportedModels, compute_what_they_did_before) {
  for (const std::string name : {"t5_encoder", "gpt_kv", "vit"}) {
    const Graph g = model(name);
    Binding binding;
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < g.inputs.size(); ++i) {
      inputs.push_back(
          read_tensor_file(TESSERA_SOURCE_DIR "/graphs/" + name + concat("/test_data_set_0/input_", i, ".pb")).tensor);
      binding.shapes[g.at(g.inputs[i].value).name] = inputs.back().shape();
    }
    const Graph simple = folded(g, binding);
    for (const auto& v : simple.values) EXPECT_TRUE(v.shape) << name << ": the shape of " << v.name << " is not known";
    const auto expected = interpret(g, inputs), got = interpret(simple, inputs);
    for (std::size_t o = 0; o < got.size(); ++o)
      EXPECT_TRUE(close(got[o], expected[o])) << name << ", output " << g.outputs[o].name;
  }
}

}  // namespace
}  // namespace tessera
