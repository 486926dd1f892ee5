// tessera compare and explain --mask, on the example DiT and its policies.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/support/json_schema.h"
#include "tests/support/model_text.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

using testing::HasSubstr;

const std::string model = source_path("graphs/wan_dit/model.onnx"),
                  inputs = source_path("graphs/wan_dit/test_data_set_0");
std::string policy(const std::string& name) { return source_path("graphs/wan_dit/policies/" + name + ".yaml"); }

Json compared(const std::vector<std::string>& policies) {
  std::vector<std::string> arguments{"compare", model, "--inputs", inputs, "--format", "json"};
  for (const auto& p : policies) arguments.insert(arguments.end(), {"--policy", policy(p)});
  const Ran r = tessera_cli(arguments);
  EXPECT_EQ(r.code, 0) << r.err;
  return parse_json(r.out);
}

TEST(Compare, reports_each_site_under_each_policy) {
  const Json report = compared({"dense", "vsa", "bsa", "mixed"});
  EXPECT_EQ(schema_problem(report, parse_json(file_text(source_path("tools/schema/compare.schema.json")))), "");
  ASSERT_EQ(report["policies"].size(), 4u);
  for (const auto& p : report["policies"]) EXPECT_EQ(p["sites"].size(), 4u);
  // Dense against dense: nothing differs at all.
  for (const auto& site : report["policies"][0]["sites"]) {
    EXPECT_EQ(site["isolated"]["relative_l2"], 0);
    EXPECT_EQ(site["cumulative"]["max"], 0);
    EXPECT_EQ(site["density"], 1);
    EXPECT_NEAR(site["mass"].get<double>(), 1, 1e-5);
  }
  // Two of eight tiles hold about 67 % of a query tile's attention in this model.
  const Json& vsa = report["policies"][1];
  for (const auto& site : vsa["sites"]) {
    const bool self = site["site"].get<std::string>().find("self_attn") != std::string::npos;
    EXPECT_EQ(site["method"], self ? "vsa" : "dense");
    EXPECT_NEAR(site["density"].get<double>(), self ? 0.25 : 1, 1e-6);
    EXPECT_NEAR(site["mass"].get<double>(), self ? 0.67 : 1, 0.08);
    EXPECT_EQ(site["isolated"]["relative_l2"] > 0, self);
    EXPECT_GT(site["cumulative"]["relative_l2"], 0);
  }
  EXPECT_GT(vsa["outputs"]["velocity"]["relative_l2"], 1e-4);
  EXPECT_EQ(report["policies"][3]["sites"][0]["method"], "by_head");
}

TEST(Compare, reports_what_rounding_to_bf16_costs) {
  const Json report = compared({"bf16"})["policies"][0];
  for (const auto& site : report["sites"]) {
    EXPECT_EQ(site["method"], "dense");
    EXPECT_EQ(site["precision"], "bf16");
    EXPECT_NEAR(site["isolated"]["relative_l2"].get<double>(), 0.002, 0.001);
    EXPECT_GT(site["cumulative"]["relative_l2"], site["isolated"]["relative_l2"]) << "products before it are rounded";
    EXPECT_NEAR(site["mass"].get<double>(), 1, 1e-2);
  }
  EXPECT_NEAR(report["outputs"]["velocity"]["relative_l2"].get<double>(), 0.004, 0.003);
  const Ran r = tessera_cli({"explain", model, "--policy", policy("bf16")});
  for (const char* part : {"dense     1.000   101 M     1.000  bf16", "blocks.1.ffn.ffn.2", "23 matrix products"})
    EXPECT_THAT(r.out, HasSubstr(part));
}

// Rules for matrix products change no attention: its error on the reference's inputs is 0, also where it reads a
// product directly.
TEST(Compare, reports_what_linear_rules_cost) {
  const ScratchFolder folder;
  folder.write("linear.yaml", "version: 1\nlinear: [{match: {name: '*.self_attn.*'}, precision: bf16}]\n");
  const Ran r =
      tessera_cli({"compare", model, "--inputs", inputs, "--policy", folder / "linear.yaml", "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json report = parse_json(r.out)["policies"][0];
  for (const auto& site : report["sites"]) {
    EXPECT_EQ(site["precision"], "f32");
    EXPECT_EQ(site["isolated"]["relative_l2"], 0) << site["site"];
    EXPECT_GT(site["cumulative"]["relative_l2"], 1e-4);
    EXPECT_LT(site["cumulative"]["relative_l2"], 1e-2);
  }
  EXPECT_GT(report["outputs"]["velocity"]["relative_l2"], 1e-4);
  EXPECT_LT(report["outputs"]["velocity"]["relative_l2"], 1e-2);
}

TEST(Compare, takes_linear_rules_for_a_model_without_attention) {
  const ScratchFolder folder;
  const std::string product = folder.write("product.textproto", model_text(R"(
    node { op_type: "MatMul" name: "/ffn/MatMul" input: "x" input: "x" output: "y" }
    input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 8 } dim { dim_value: 8 } } } } }
    output { name: "y" })"));
  folder.write("linear.yaml", "version: 1\nlinear: [{precision: bf16}]\n");
  folder.write("none.yaml", "version: 1\n");
  const Ran r = tessera_cli({"compare", product, "--policy", folder / "linear.yaml", "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_GT(parse_json(r.out)["policies"][0]["outputs"]["y"]["relative_l2"], 1e-5);
  EXPECT_EQ(tessera_cli({"compare", product, "--policy", folder / "linear.yaml"}).code, 0);
  EXPECT_EQ(tessera_cli({"compare", product, "--policy", folder / "none.yaml"}).code, 2);
}

TEST(Compare, writes_tables_and_a_plot) {
  const ScratchFolder folder;
  const Ran r =
      tessera_cli({"compare", model, "--inputs", inputs, "--policy", policy("vsa"), "--plot", folder / "p.svg"});
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"mass kept", "error alone", "error so far", "by FLOPs", "blocks.0.self_attn.attention.0"})
    EXPECT_THAT(r.out, HasSubstr(part));
  EXPECT_THAT(file_text(folder / "p.svg"), HasSubstr("vsa.yaml"));
  const Ran csv = tessera_cli({"compare", model, "--inputs", inputs, "--policy", policy("vsa"), "--format", "csv"});
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 5);
  for (const char* column : {",time_s,", ",output_l2,", ",model_s,"}) EXPECT_THAT(csv.out, HasSubstr(column));
}

// x attends to itself; the result, or its negative where `first` is negative: the branch is chosen during the run.
std::string branching_model(const ScratchFolder& folder) {
  const std::string graph = R"(
    node { op_type: "Attention" input: "x" input: "x" input: "x" output: "a" }
    node { op_type: "Less" input: "first" input: "zero" output: "c" }
    node { op_type: "If" input: "c" output: "y"
      attribute { name: "then_branch" type: GRAPH g {
        node { op_type: "Neg" input: "a" output: "b" } output { name: "b" } } }
      attribute { name: "else_branch" type: GRAPH g {
        node { op_type: "Identity" input: "a" output: "d" } output { name: "d" } } } }
    initializer { name: "zero" data_type: 1 float_data: [0] }
    input { name: "first" type { tensor_type { elem_type: 1 shape { } } } }
    input { name: "x" type { tensor_type { elem_type: 1 shape {
      dim { dim_value: 1 } dim { dim_value: 2 } dim { dim_value: 16 } dim { dim_value: 8 } } } } }
    output { name: "y" })";
  folder.write("branching.textproto", model_text(graph, {}, 23));
  folder.write("vsa.yaml",
               "version: 1\nplugins: [vsa]\ngrid: [4, 4]\n"
               "rules: [{match: {role: self}, use: vsa, with: {tile: [2, 2], sparsity: 0.5}}]\n");
  return folder / "branching.textproto";
}

TEST(Compare, runs_branches_that_are_chosen_during_the_run) {
  const ScratchFolder folder;
  const std::string branching = branching_model(folder);
  const Ran r = tessera_cli({"compare", branching, "--policy", folder / "vsa.yaml", "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_NEAR(parse_json(r.out)["policies"][0]["density"].get<double>(), 0.5, 1e-6);
  const Ran mask = tessera_cli({"explain", branching, "--policy", folder / "vsa.yaml", "--mask", "attention.0", "-o",
                                folder / "mask.png", "--quiet"});
  EXPECT_EQ(mask.code, 0) << mask.err;
}

// The attention of a model on an [4, 4] grid, then what `rest` makes of its output a.
std::string small_model(const ScratchFolder& folder, const std::string& rest) {
  const std::string graph = R"(
    node { op_type: "Attention" input: "x" input: "x" input: "x" output: "a" }
    input { name: "x" type { tensor_type { elem_type: 1 shape {
      dim { dim_value: 1 } dim { dim_value: 2 } dim { dim_value: 16 } dim { dim_value: 8 } } } } }
    initializer { name: "zero" data_type: 1 float_data: [0] }
 )";
  return folder.write("small.textproto", model_text(graph + rest, {}, 23));
}

std::string sparse_policy(const ScratchFolder& folder, const std::string& rule) {
  return folder.write("p.yaml",
                      "version: 1\nplugins: [vsa]\ngrid: [4, 4]\nrules:\n  - {match: {role: self}, " + rule + "}\n");
}

const char* const half = "use: vsa, with: {tile: [2, 2], sparsity: 0.5}";

// The model gives NaN when the largest of a is not what dense attention makes it.
TEST(Compare, shows_outputs_that_are_not_numbers) {
  const ScratchFolder folder;
  const std::string model = small_model(folder, R"(
    node { op_type: "ReduceMax" input: "a" output: "m" }
    node { op_type: "Div" input: "zero" input: "zero" output: "nan" }
    node { op_type: "Equal" input: "m" input: "limit" output: "dense" }
    node { op_type: "Where" input: "dense" input: "m" input: "nan" output: "y" }
    input { name: "limit" type { tensor_type { elem_type: 1 shape {
      dim { dim_value: 1 } dim { dim_value: 1 } dim { dim_value: 1 } dim { dim_value: 1 } } } } }
    output { name: "y" } )");
  const std::string p = sparse_policy(folder, half);
  const Ran limit = tessera_cli({"run", model, "--input", "x=random:normal,seed=3", "--input", "limit=zeros",
                                 "--dump-node", "m=" + (folder / "m.npy")});
  ASSERT_EQ(limit.code, 0) << limit.err;
  const Ran r = tessera_cli({"compare", model, "--input", "x=random:normal,seed=3", "--input",
                             "limit=" + (folder / "m.npy"), "--policy", p, "--plot", folder / "p.svg"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out.substr(0, r.out.find("\n\n")), HasSubstr("nan"));
  EXPECT_THAT(file_text(folder / "p.svg"), HasSubstr("p.yaml: not finite"));
}

TEST(Compare, counts_outputs_of_every_type) {
  const ScratchFolder folder;
  const std::string model = small_model(folder, R"(
    node { op_type: "ArgMax" input: "a" output: "y" attribute { name: "axis" type: INT i: 2 } }
    output { name: "y" } )");
  const Ran r = tessera_cli({"compare", model, "--input", "x=random:normal,seed=3", "--policy",
                             sparse_policy(folder, half), "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_GT(parse_json(r.out)["policies"][0]["outputs"]["y"]["max"], 0);
}

TEST(Compare, predicts_from_what_a_mask_leaves) {
  const ScratchFolder folder;
  const std::string graph = R"(
    node { op_type: "Attention" input: "x" input: "x" input: "x" output: "y"
      attribute { name: "is_causal" type: INT i: 1 } }
    input { name: "x" type { tensor_type { elem_type: 1 shape {
      dim { dim_value: 1 } dim { dim_value: 2 } dim { dim_value: 16 } dim { dim_value: 8 } } } } }
    output { name: "y" } )";
  const std::string model = folder.write("causal.textproto", model_text(graph, {}, 23));
  const std::string p = sparse_policy(folder, std::string(half) + ", else: dense");
  const Ran r = tessera_cli({"compare", model, "--policy", p, "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("1 of 1 attention sites are dense"));
  const Json report = parse_json(r.out);
  EXPECT_NEAR(report["dense"]["density"].get<double>(), 17.0 / 32, 1e-6);
  EXPECT_NEAR(report["policies"][0]["sites"][0]["speedup_by_flops"].get<double>(), 1, 1e-6);
}

TEST(Run, says_when_methods_refuse_sites) {
  const ScratchFolder folder;
  const std::string p = sparse_policy(folder, "use: vsa, with: {tile: [2, 2], sparsity: 0.5}, else: dense");
  const Ran r = tessera_cli({"run", source_path("graphs/gpt_kv/model.onnx"), "--inputs",
                             source_path("graphs/gpt_kv/test_data_set_0"), "--policy", p});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("attention sites are dense where a method refused them"));
}

TEST(Explain, draws_the_mask_of_a_site_in_bf16) {
  const ScratchFolder folder;
  const std::string p = folder.write("p.yaml",
                                     "version: 1\nplugins: [vsa]\n"
                                     "grid: {input: latent, axes: [2, 3, 4], patch: [1, 2, 2]}\nrules:\n"
                                     "  - {match: {role: self}, use: vsa, with: {tile: [4, 4, 4], sparsity: 0.75}, "
                                     "precision: bf16}\n");
  const auto size = [&](const std::string& file) {
    const Ran r = tessera_cli({"explain", model, "--inputs", inputs, "--policy", file, "--mask",
                               "blocks.0.self_attn.attention.0", "-o", folder / "mask.png", "--quiet"});
    EXPECT_EQ(r.code, 0) << r.err;
    return file_text(folder / "mask.png").substr(16, 8);  // width and height
  };
  EXPECT_EQ(size(p), size(policy("vsa")));
}

TEST(Compare, measures_no_kept_mass_against_what_is_sparse_in_the_file) {
  const ScratchFolder folder;
  const std::string sparse = folder / "sparse.onnx";
  const Ran saved =
      tessera_cli({"inspect", model, "--policy", policy("bsa"), "--after", "policy", "--save-model", sparse});
  ASSERT_EQ(saved.code, 0) << saved.err;
  const Ran missing = tessera_cli({"compare", sparse, "--policy", policy("vsa")});
  EXPECT_EQ(missing.code, 3);
  EXPECT_EQ(missing.err.find("in model"), missing.err.rfind("in model")) << missing.err;
  const Ran r = tessera_cli(
      {"compare", sparse, "--inputs", inputs, "--policy", policy("vsa"), "--plugin", "bsa", "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json sites = parse_json(r.out)["policies"][0]["sites"];
  EXPECT_TRUE(sites[0]["mass"].is_null());
  EXPECT_EQ(sites[1]["mass"], 1) << "cross-attention is dense in the file";
}

TEST(Compare, keeps_to_its_limits) {
  const Ran r = tessera_cli({"compare", model, "--inputs", inputs, "--policy", policy("vsa"), "--memory-limit", "1K"});
  EXPECT_EQ(r.code, 6) << r.err;
  EXPECT_THAT(r.err, HasSubstr("the limit is 1024"));
}

TEST(Explain, draws_what_a_head_attends_to) {
  const ScratchFolder folder;
  for (const auto& [name, head] : {std::pair{"vsa", "1"}, {"bsa", "0"}, {"mixed", "2"}, {"dense", "0"}}) {
    const Ran r = tessera_cli({"explain", model, "--inputs", inputs, "--policy", policy(name), "--mask",
                               "blocks.1.self_attn.attention.2", "--head", head, "-o", folder / "mask.png", "--quiet"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(file_text(folder / "mask.png").substr(1, 3), "PNG") << name;
  }
}

TEST(Explain, says_which_sites_and_heads_there_are) {
  const ScratchFolder folder;
  const auto failing = [&](const std::string& site, const std::string& head) {
    const Ran r = tessera_cli({"explain", model, "--inputs", inputs, "--policy", policy("vsa"), "--mask", site,
                               "--head", head, "-o", folder / "mask.png"});
    EXPECT_EQ(r.code, 2);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    return r.err;
  };
  EXPECT_THAT(failing("blocks.0.self_atn.attention.0", "0"), HasSubstr("blocks.0.self_attn.attention.0"));
  EXPECT_THAT(failing("blocks.0.self_attn.attention.0", "3"), HasSubstr("has heads 0 to 2, not 3"));
}

}  // namespace
}  // namespace tessera
