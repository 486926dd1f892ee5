// The subcommands on two tiny models.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "runtime/pass/pass.h"
#include "runtime/tensor/text.h"
#include "tests/support/json_schema.h"
#include "tests/support/model_text.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"
#include "tools/npz.h"
#include "tools/tensor_files.h"

namespace tessera {
namespace {

const std::string fixed = source_path("tests/data/models/classifier.textproto");
const std::string open = source_path("tests/data/models/counter.textproto");

Json schema(const std::string& name) {
  return parse_json(file_text(source_path("tools/schema/" + name + ".schema.json")));
}

TEST(Run, carries_and_collects) {
  const ScratchFolder folder;
  write_tensor(folder / "last.npy", "", tensor_from_text("i64{{5}, {7}}"));
  const Ran r = tessera_cli({"run", open, "--input", "last=" + (folder / "last.npy"), "--input", "past=zeros", "--set",
                             "length=0", "--steps", "3", "--carry", "next=last", "--carry", "seen=past", "--collect",
                             "next=" + (folder / "next.npy"), "--output", "seen=" + (folder / "seen.npy")});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(to_text(read_tensor(folder / "next.npy", "")), "i64{{{6}, {8}}, {{7}, {9}}, {{8}, {10}}}");
  EXPECT_EQ(to_text(read_tensor(folder / "seen.npy", "")), "i64{{5, 6, 7}, {7, 8, 9}}");
  EXPECT_NE(r.out.find("3 steps"), std::string::npos) << r.out;
}

TEST(Run, compares_sizes_with_the_files_given) {
  const ScratchFolder folder;
  write_tensor(folder / "last.npy", "", tensor_from_text("i64{{5}, {7}}"));
  write_tensor(folder / "past.npy", "", tensor_from_text("i64{{1}, {2}}"));
  const auto run = [&](const std::string& subcommand, const std::string& flag, const std::string& value) {
    return tessera_cli({subcommand, open, "--input", "last=" + (folder / "last.npy"), "--input",
                        "past=" + (folder / "past.npy"), flag, value});
  };
  EXPECT_EQ(run("run", "--set", "batch=2").code, 0);
  for (const char* subcommand : {"run", "bench"})
    for (const auto& [flag, value, says] : {std::tuple{"--set", "bacth=2", "did you mean 'batch'"},
                                            {"--set", "batch=3", "'batch' is 3 (given) and 2 (dim 0 of input 'last')"},
                                            {"--shape", "past=2x2", "input 'past' has shape [2x1]"}}) {
      const Ran r = run(subcommand, flag, value);
      EXPECT_EQ(r.code, 2) << subcommand << " " << value << r.err;
      EXPECT_NE(r.err.find(says), std::string::npos) << r.err;
    }
}

TEST(Run, shows_no_numbers_of_empty_tensors) {
  const Ran r = tessera_cli({"run", open, "--input", "last=zeros", "--input", "past=zeros", "--set", "batch=0", "--set",
                             "length=3", "--format", "csv"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_NE(r.out.find("seen,i64,[0x4],-,-,-,0\n"), std::string::npos) << r.out;
  const Ran json = tessera_cli({"run", open, "--input", "last=zeros", "--input", "past=zeros", "--set", "batch=0",
                                "--set", "length=3", "--format", "json"});
  const Json report = parse_json(json.out);
  for (const Json& output : report["outputs"])
    for (const char* key : {"min", "max", "mean"}) EXPECT_TRUE(output[key].is_null()) << output;
}

TEST(Run, shows_all_digits_of_integers) {
  const Ran r = tessera_cli({"run", open, "--input", "last=random:range:1234567,1234568", "--input", "past=zeros",
                             "--set", "batch=1", "--set", "length=1", "--format", "csv"});
  EXPECT_NE(r.out.find("seen,i64,[1x2],0,1234567,"), std::string::npos) << r.out << r.err;
}

TEST(Run, writes_a_trace_and_a_node) {
  const ScratchFolder folder;
  const Ran r =
      tessera_cli({"run", fixed, "--input", "image=random:normal", "--repeat", "2", "--trace", folder / "t.json",
                   "--dump-node", "logits=" + (folder / "n.npy"), "--save", folder / "all.npz"});
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"operators", "t.json", "all.npz", "median"})
    EXPECT_NE(r.out.find(part), std::string::npos) << part << r.out;
  const Json trace = parse_json(file_text(folder / "t.json"));
  EXPECT_GT(trace["traceEvents"].size(), 6u);
  EXPECT_TRUE(same_bits(read_tensor(folder / "n.npy", ""), read_npz(folder / "all.npz").at("logits")));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 3) << "nothing else may be left";
}

TEST(Run, says_at_once_that_a_node_is_not_in_the_file) {
  const ScratchFolder folder;
  const Ran r = tessera_cli({"run", fixed, "--input", "image=zeros", "--dump-node", "logit=" + (folder / "n.npy")});
  EXPECT_EQ(r.code, 2);
  EXPECT_TRUE(r.err.starts_with("tessera: --dump-node: the file has no node or value 'logit'; did you mean 'logits'?"))
      << r.err;
}

TEST(Run, leaves_nothing_when_the_disk_is_full) {
  const Ran r = tessera_cli({"run", fixed, "--input", "image=random:normal", "--output", "logits=/dev/full"});
  EXPECT_EQ(r.code, 2) << "the name says no format";
  const ScratchFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "x.npy");
  const Ran full =
      tessera_cli({"run", fixed, "--input", "image=random:normal", "--output", "logits=" + (folder / "x.npy")});
  EXPECT_EQ(full.code, 6) << full.err;
  EXPECT_NE(full.err.find("No space left"), std::string::npos) << full.err;
}

TEST(Inspect, reports_as_its_schema_says) {
  for (const char* after : {"load", "bind", "fold", "plan"}) {
    const Ran r = tessera_cli({"inspect", fixed, "--after", after, "--format", "json"});
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(schema_problem(parse_json(r.out), schema("inspect")), "");
  }
  const Ran sized = tessera_cli({"inspect", open, "--set", "batch=1", "--set", "length=0", "--format", "json"});
  ASSERT_EQ(sized.code, 0) << sized.err;
  const Json report = parse_json(sized.out);
  EXPECT_EQ(schema_problem(report, schema("inspect")), "");
  EXPECT_GT(report["flops"].get<double>(), 0);
  EXPECT_EQ(tessera_cli({"inspect", open, "--after", "load"}).code, 0);
}

TEST(Inspect, draws_a_graph_for_graphviz) {
  const ScratchFolder folder;
  const std::string model = folder.write("m.textproto", model_text(R"(
      node { name: "the \"first\"" op_type: "Relu" input: "x" output: "h" }
      node { op_type: "Neg" input: "h" output: "y" }
      input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 2 } dim { dim_value: 6 } } } } }
      output { name: "y" type { tensor_type { elem_type: 1 } } })"));
  const Ran r = tessera_cli({"inspect", model, "--format", "dot"});
  EXPECT_TRUE(r.out.starts_with("digraph")) << r.err;
  EXPECT_NE(r.out.find(R"(tooltip="the \"first\"")"), std::string::npos) << r.out;
  EXPECT_NE(r.out.find(R"(n0 -> n1 [label="[2x6]"])"), std::string::npos) << r.out;
}

TEST(Inspect, marks_attention_sites_in_a_drawing) {
  const std::string model = source_path("graphs/vit/model.onnx");
  const Ran plain = tessera_cli({"inspect", model, "--format", "dot", "--after", "sites"});
  ASSERT_EQ(plain.code, 0) << plain.err;
  EXPECT_EQ(plain.out.find("fillcolor"), std::string::npos);
  const Ran marked = tessera_cli({"inspect", model, "--format", "dot", "--sites"});
  ASSERT_EQ(marked.code, 0) << marked.err;
  const Json sites = parse_json(tessera_cli({"inspect", model, "--format", "json", "--sites"}).out)["sites"];
  ASSERT_FALSE(sites.empty());
  for (const Json& site : sites) {
    const std::string label = "[label=\"" + site["name"].get<std::string>() + "\\n";
    const std::size_t at = marked.out.find(label);
    ASSERT_NE(at, std::string::npos) << label << marked.out;
    EXPECT_LT(marked.out.find("fillcolor", at), marked.out.find('\n', at));
  }
}

TEST(Inspect, shows_passes_with_their_examples) {
  const Ran text = tessera_cli({"inspect", "--passes"});
  EXPECT_NE(text.out.find("\nfuse_silu\n"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("\n  inputs  x: f32[2x8]\n  before  Mul(x, Sigmoid(x))\n  after   Swish(x)\n"),
            std::string::npos)
      << text.out;
  const Json report = parse_json(tessera_cli({"inspect", "--passes", "--format", "json"}).out);
  EXPECT_EQ(schema_problem(report, schema("inspect")), "");
  for (const Json& pass : report["passes"]) EXPECT_GT(pass["examples"].size(), 0u) << pass;
  const Ran why = tessera_cli({"inspect", fixed, "--why", "fuse_gelu", "--format", "json"});
  EXPECT_EQ(schema_problem(parse_json(why.out), schema("inspect")), "");
}

TEST(Inspect, says_what_each_pass_did) {
  const std::vector<std::string> call = {
      "inspect", source_path("graphs/vit/model.onnx"), "--after", "fuse", "--pass", "no-fuse_gelu"};
  const Ran text = tessera_cli(call);
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_TRUE(std::regex_search(text.out, std::regex("\n  pass +fold  sites  fuse\n"))) << text.out;
  EXPECT_TRUE(std::regex_search(text.out, std::regex("\n  fuse_bias +-      -    12\n"))) << text.out;
  EXPECT_TRUE(std::regex_search(text.out, std::regex("\n  fuse_gelu +-      -     -  turned off\n"))) << text.out;
  auto as_json = call;
  as_json.insert(as_json.end(), {"--format", "json"});
  const Json report = parse_json(tessera_cli(as_json).out);
  EXPECT_EQ(schema_problem(report, schema("inspect")), "");
  std::vector<std::string> order;
  for (const Json& pass : report["passes"]) {
    if (pass["stage"] == "fuse") order.push_back(pass["pass"]);
    EXPECT_EQ(pass["off"].get<bool>(), pass["pass"] == "fuse_gelu");
  }
  EXPECT_EQ(order.front(), fuse_passes().front()->name);
  EXPECT_EQ(order.back(), "remove_dead");
}

TEST(Inspect, lists_attention_sites) {
  const std::string model = source_path("graphs/wan_dit/model.onnx");
  const Ran r = tessera_cli({"inspect", model, "--sites", "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json report = parse_json(r.out);
  EXPECT_EQ(schema_problem(report, schema("inspect")), "");
  ASSERT_EQ(report["sites"].size(), 4u);
  EXPECT_EQ(report["sites"][1]["name"], "blocks.0.cross_attn.attention.1");
  EXPECT_EQ(report["sites"][1]["role"], "cross");
  EXPECT_EQ(report["sites"][1]["keys"], 32);
  EXPECT_EQ(report["softmax_without_site"].size(), 0u);
  const Ran table = tessera_cli({"inspect", model, "--sites"});
  EXPECT_NE(table.out.find("blocks.1.self_attn.attention.2"), std::string::npos) << table.out;

  // A softmax that is none says why.
  const Ran none = tessera_cli({"inspect", model, "--sites", "--pass", "no-find_attention"});
  EXPECT_NE(none.out.find("attention sites: 0"), std::string::npos) << none.out;
  const ScratchFolder folder;
  std::ofstream(folder / "head.textproto") << model_text(R"(
    input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 2 } dim { dim_value: 3 } } } } }
    node { op_type: "Softmax" name: "head/Softmax" input: "x" output: "y" }
    output { name: "y" type { tensor_type { elem_type: 1 } } })");
  const Ran head = tessera_cli({"inspect", folder / "head.textproto", "--sites"});
  ASSERT_EQ(head.code, 0) << head.err;
  EXPECT_NE(head.out.find("softmax without a site: 1"), std::string::npos) << head.out;
  EXPECT_NE(head.out.find("its scores 'x' are no product of two tensors"), std::string::npos) << head.out;
  const Ran why = tessera_cli({"inspect", folder / "head.textproto", "--why", "find_attention"});
  EXPECT_NE(why.out.find("head/Softmax"), std::string::npos) << why.out << why.err;
}

TEST(Bench, reports_as_its_schema_says) {
  const Ran r = tessera_cli({"bench", fixed, fixed, "--repeat", "7", "--threads", "1", "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json report = parse_json(r.out);
  EXPECT_EQ(schema_problem(report, schema("bench")), "");
  ASSERT_EQ(report["results"].size(), 2u);
  ASSERT_EQ(report["ratios"].size(), 1u);
  EXPECT_GT(report["results"][0]["gflops"].get<double>(), 0);
  EXPECT_EQ(report["results"][0]["runs"], 7);
}

TEST(Bench, calls_the_range_of_few_rounds_no_interval) {
  const auto printed = [](const char* repeat) {
    return tessera_cli({"bench", fixed, fixed, "--threads", "1", "--repeat", repeat}).out;
  };
  EXPECT_NE(printed("6").find("95 % low"), std::string::npos);
  EXPECT_NE(printed("5").find("lowest"), std::string::npos);
}

TEST(Bench, prints_one_table_for_programs) {
  const Ran r = tessera_cli({"bench", fixed, fixed, "--repeat", "1", "--threads", "1", "--format", "csv"});
  EXPECT_TRUE(std::regex_match(r.out, std::regex("model,.*,median_s,.*,ratio,ratio_low,ratio_high\n"
                                                 ".*,[-0-9.e]+,,,\n.*(,[-0-9.e]+){8}\n")))
      << r.out;
}

TEST(Bench, says_which_inputs_it_made_up) {
  const Ran r = tessera_cli({"bench", open, open, "--input", "last=zeros", "--set", "batch=1", "--set", "length=3",
                             "--repeat", "1", "--threads", "1"});
  EXPECT_EQ(r.err, "tessera: input 'past' (i64 [batchxlength]) is not given: made up at random\n");
}

TEST(Bench, counts_the_deadline_from_its_start) {
  const Ran r = tessera_cli({"bench", fixed, "--repeat", "1000000", "--deadline", "0.5", "--quiet"});
  EXPECT_EQ(r.code, 6) << r.err;
}

TEST(Bench, exits_with_7_when_a_requirement_fails) {
  const Ran r = tessera_cli({"bench", fixed, "--threads", "1,2", "--repeat", "3", "--require", "ratio<=0.0001"});
  EXPECT_EQ(r.code, 7) << r.err;
  EXPECT_NE(r.err.find("required ratio<=0.0001, but '" + fixed + ", 2 threads' has"), std::string::npos) << r.err;
  EXPECT_EQ(tessera_cli({"bench", fixed, "--repeat", "3", "--require", "median_s<100"}).code, 0);
  EXPECT_EQ(tessera_cli({"bench", "nowhere.onnx"}).code, 2);
}

TEST(Ops, checks_its_examples) {
  const Ran r = tessera_cli({"ops", "--check", "Relu"});
  EXPECT_EQ(r.code, 0) << r.out << r.err;
  EXPECT_NE(r.out.find("1 operators, "), std::string::npos) << r.out;
  EXPECT_NE(r.out.find(": 0 failed"), std::string::npos) << r.out;
  const Json json = parse_json(tessera_cli({"ops", "--check", "Relu", "--format", "json"}).out);
  EXPECT_EQ(json["operators"], 1);
  EXPECT_EQ(json["failures"].size(), 0u);
  EXPECT_EQ(parse_json(tessera_cli({"ops", "Relu", "--format", "json"}).out)["schema"], 1);
}

TEST(Grad, of_a_product) {
  const ScratchFolder folder;
  const Ran r = tessera_cli({"grad", fixed, "--input", "image=zeros", "--loss", "logits", "--wrt", "b,image", "--dout",
                             "random:normal,seed=2", "--save", folder / "g.npz"});
  ASSERT_EQ(r.code, 0) << r.err;
  const auto all = read_npz(folder / "g.npz");
  EXPECT_EQ(all.at("d.b").shape(), (Shape{3}));
  EXPECT_EQ(to_text(all.at("d.image")), "f32{{0, 0, 0, 0}, {0, 0, 0, 0}}") << "Relu is flat at 0";
}

}  // namespace
}  // namespace tessera
