// Every attention of really exported models becomes one node, no Softmax is left, and answers stay what they were.
#include <gtest/gtest.h>

#include "runtime/load/load.h"
#include "runtime/load/tensor_file.h"
#include "runtime/plan/specialise.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"

namespace tessera {
namespace {

struct Exported {
  const char* name;
  int sites, transposes;  // Transposes that have nothing to do with attention
};
const Exported models[] = {{"gpt_kv", 2, 4}, {"t5_encoder", 2, 0}, {"vae3d", 1, 8},
                           {"vit", 3, 1},    {"wan_dit", 4, 1},    {"wan_dit_dynamic", 4, 1}};

std::int64_t nodes(const Graph& g, std::string_view op) {
  return std::count_if(g.nodes.begin(), g.nodes.end(), [&](const Node& n) { return n.op->name == op; });
}

TEST(FindAttentionInModels, leaves_no_softmax_and_changes_no_answer) {
  for (const auto& m : models) {
    SCOPED_TRACE(m.name);
    const std::string folder = concat(TESSERA_SOURCE_DIR "/graphs/", m.name, "/");
    const Graph g = load(folder + "model.onnx", builtin_registry());
    Binding binding;
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < g.inputs.size(); ++i) {
      inputs.push_back(read_tensor_file(concat(folder, "test_data_set_0/input_", i, ".pb")).tensor);
      binding.shapes[g.at(g.inputs[i].value).name] = inputs.back().shape();
    }
    const auto after = [&](const PassOptions& options) {
      return graph_after(Stage::sites, g, binding, builtin_registry(), options);
    };
    const Graph plain = after({.disabled = {"find_attention"}}), found = after({});
    EXPECT_EQ(nodes(plain, "Softmax"), m.sites);
    EXPECT_EQ(nodes(found, "Softmax"), 0);
    EXPECT_EQ(nodes(found, "dense"), m.sites);
    EXPECT_EQ(nodes(found, "Transpose"), m.transposes);
    const auto expected = interpret(plain, inputs), got = interpret(found, inputs);
    for (std::size_t o = 0; o < got.size(); ++o)
      EXPECT_TRUE(close(got[o], expected[o], {1e-5, 1e-5})) << "output " << g.outputs[o].name;
  }
}

}  // namespace
}  // namespace tessera
