// What is fused in really exported models, and that each pass can be turned off where it fires: the answers stay.
#include <gtest/gtest.h>

#include "runtime/load/load.h"
#include "runtime/load/tensor_file.h"
#include "runtime/plan/specialise.h"
#include "runtime/session/session.h"
#include "tests/support/compare.h"
#include "tests/support/graph_notation.h"
#include "tests/support/made_up.h"
#include "tests/support/runner.h"
#include "tools/json.h"

namespace tessera {
namespace {

struct FusedModel {
  const char *name, *rewrites, *operators;  // those that passes of stages sites and fuse write
};
const FusedModel models[] = {
    {"gpt_kv", "find_attention 2, fuse_layer_normalization 5, fuse_gelu 2, fuse_bias 8",
     "dense 2, LayerNormalization 5, Gelu 2, Gemm 8"},
    {"t5_encoder", "find_attention 2, fuse_rms_normalization 5, fuse_gelu 2", "dense 2, RMSNormalization 5, Gelu 2"},
    {"vae3d", "find_attention 1, fuse_silu 11, fuse_elementwise 5", "dense 1, Swish 6, Fused 5"},
    {"vit", "find_attention 3, fuse_gelu 3, fuse_bias 12", "dense 3, LayerNormalization 7, Gelu 3, Gemm 13"},
    {"wan_dit",
     "find_attention 4, fuse_layer_normalization 7, fuse_rms_normalization 8, fuse_gelu 3, fuse_silu 2, "
     "fuse_rotary_embedding 4, fuse_bias 23, fuse_elementwise 4",
     "dense 4, LayerNormalization 7, RMSNormalization 8, Gelu 3, Swish 2, RotaryEmbedding 4, Gemm 26, Fused 4"},
    {"wan_dit_dynamic",
     "find_attention 4, fuse_layer_normalization 7, fuse_rms_normalization 8, fuse_gelu 3, fuse_silu 2, "
     "fuse_rotary_embedding 4, fuse_bias 23, fuse_elementwise 4",
     "dense 4, LayerNormalization 7, RMSNormalization 8, Gelu 3, Swish 2, RotaryEmbedding 4, Gemm 26, Fused 4"},
};

std::string path_of(const std::string& model) { return source_path("graphs/" + model + "/model.onnx"); }

// "fuse_gelu 3, fuse_bias 12"
void list(std::string& text, const std::string& name, std::int64_t number) {
  if (number > 0) text += concat(text.empty() ? "" : ", ", name, " ", number);
}

TEST(FusedModels, inspect_says_what_was_fused) {
  for (const auto& m : models) {
    SCOPED_TRACE(m.name);
    const Ran r =
        tessera_cli({"inspect", path_of(m.name), "--inputs", source_path(concat("graphs/", m.name, "/test_data_set_0")),
                     "--after", "fuse", "--format", "json"});
    ASSERT_EQ(r.code, 0) << r.err;
    const Json report = parse_json(r.out);
    std::string rewrites, operators;
    for (const Json& pass : report["passes"]) {
      const std::string name = pass["pass"];
      if (name == "find_attention" || name.starts_with("fuse_")) list(rewrites, name, pass["rewrites"]);
    }
    std::map<std::string, std::int64_t> counts;
    for (const Json& o : report["operators"]) counts[o["operator"]] = o["count"];
    for (const std::string fused : {"tessera.attention::dense", "LayerNormalization", "RMSNormalization", "Gelu",
                                    "Swish", "RotaryEmbedding", "Gemm", "tessera::Fused"})
      list(operators, fused.substr(fused.rfind(':') + 1), counts[fused]);
    EXPECT_EQ(rewrites, m.rewrites);
    EXPECT_EQ(operators, m.operators);
  }
}

std::map<const PassDef*, int> rewrites_of(const Graph& g, const Binding& binding,
                                          const std::set<std::string, std::less<>>& disabled) {
  std::vector<StageRuns> runs;
  graph_after(Stage::fuse, g, binding, builtin_registry(), {.disabled = disabled}, {}, &runs);
  std::map<const PassDef*, int> total;
  for (const auto& stage : runs)
    for (const auto& run : stage.passes) {
      EXPECT_EQ(run.off, disabled.contains(run.pass->name)) << run.pass->name;
      total[run.pass] += run.rewrites;
    }
  return total;
}

// Turns off, one after the other, the passes that rewrite something in g, or only `one`.
void expect_same_without_passes(const Graph& g, const NamedTensors& inputs, const PassDef* one = nullptr) {
  Binding binding;
  for (const auto& [name, t] : inputs) binding.shapes[name] = t.shape();
  const auto expected = Session(g, {}).run(inputs);
  const auto rewrites = rewrites_of(g, binding, {});
  EXPECT_TRUE(!one || rewrites.at(one) > 0);
  for (const auto& [pass, times] : rewrites) {
    if (times == 0 || pass->name == "fold_constants" || (one && pass != one)) continue;
    SCOPED_TRACE(concat("without ", pass->name));
    const std::set<std::string, std::less<>> disabled{std::string(pass->name)};
    EXPECT_EQ(rewrites_of(g, binding, disabled).at(pass), 0);
    const auto got = Session(g, {.disabled_passes = disabled}).run(inputs);
    for (const auto& [name, t] : expected) EXPECT_TRUE(close(got.at(name), t, {1e-5, 1e-5})) << name;
  }
}

TEST(FusedModels, answer_the_same_without_any_of_their_passes) {
  for (const auto& m : models) {
    SCOPED_TRACE(m.name);
    const Graph g = load(path_of(m.name), builtin_registry());
    NamedTensors inputs;
    for (std::size_t i = 0; i < g.inputs.size(); ++i)
      inputs[g.at(g.inputs[i].value).name] =
          read_tensor_file(source_path(concat("graphs/", m.name, "/test_data_set_0/input_", i, ".pb"))).tensor;
    expect_same_without_passes(g, inputs);
  }
}

TEST(PassExamples, are_left_alone_by_a_pass_that_is_turned_off) {
  for (const PassDef* pass : all_passes()) {
    if (pass->name == "fold_constants") continue;  // what follows needs it
    SCOPED_TRACE(pass->name);
    const auto& example = pass->examples[0];
    const Graph g = graph_of(example.inputs, example.before);
    expect_same_without_passes(g, made_up_inputs(g), pass);
  }
}

}  // namespace
}  // namespace tessera
