// explain, and --policy of the other subcommands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/json_schema.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string model = source_path("tests/data/models/attention.textproto"),
                  fixed = source_path("tests/data/models/classifier.textproto");

struct PolicyFile {
  explicit PolicyFile(const std::string& text) : path(folder / "p.yaml") {
    std::ofstream(path) << "version: 1\n" << text;
  }
  ScratchFolder folder;
  const std::string path;
};

const std::string rules =
    "rules:\n"
    "  - match: {role: self}\n"
    "    use: dense\n"
    "    precision: bf16\n"
    "  - match: {layers: 1}\n"
    "    use: dense\n"
    "    optional: true\n"
    "linear:\n"
    "  - match: {name: '*.ffn'}\n"
    "    precision: bf16\n";

Ran explain(const std::string& policy, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"explain", model, "--policy", policy, "--set", "batch=2"});
  return tessera_cli(more);
}

TEST(Explain, reports_as_its_schema_says) {
  const PolicyFile policy(rules);
  const Ran r = explain(policy.path, {"--format", "json", "--step", "1/4", "--train-step", "7"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json report = parse_json(r.out);
  EXPECT_EQ(schema_problem(report, parse_json(file_text(source_path("tools/schema/explain.schema.json")))), "");
  EXPECT_EQ(report["step"], 1);
  EXPECT_EQ(report["train_step"], 7);
  ASSERT_EQ(report["sites"].size(), 3u);
  const Json& first = report["sites"][0];
  EXPECT_EQ(first["role"], "self");
  EXPECT_EQ(first["tokens"], 16);
  EXPECT_EQ(first["bindings"][0]["line"], 3);
  EXPECT_EQ(first["bindings"][0]["precision"], "bf16");
  EXPECT_EQ(first["rules"][1]["reason"], "layer is 0");
  EXPECT_EQ(report["sites"][1]["rules"][0]["outcome"], "lost");
  EXPECT_EQ(report["sites"][1]["rules"][0]["reason"], "to line 6");
  EXPECT_EQ(report["linear"][0]["precision"], "bf16");
  EXPECT_EQ(report["totals"]["fallbacks"], 0);
  EXPECT_GT(report["totals"]["flops"].get<double>(), 0);
}

TEST(Explain, names_rule_and_line_for_each_site) {
  const PolicyFile policy(rules);
  const Ran r = explain(policy.path);
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part :
       {"rules that won in part or not at all", "line 3 lost to line 6", "role is cross", "fallbacks  0", "bf16"})
    EXPECT_THAT(r.out, HasSubstr(part));
  EXPECT_THAT(explain(policy.path, {"--format", "md"}).out, HasSubstr("| --"));
}

TEST(Explain, says_at_which_step_it_looks) {
  const PolicyFile plain(rules), steps("rules: [{match: {steps: 1-2}, use: dense, precision: bf16}]\n");
  EXPECT_EQ(explain(plain.path).out.find("step  "), std::string::npos);
  EXPECT_THAT(explain(steps.path).out, HasSubstr("step       0 of 1; --step i/n shows another\n"));
  const Ran at_two = explain(steps.path, {"--step", "2/4"});
  EXPECT_THAT(at_two.out, HasSubstr("step       2 of 4"));
  EXPECT_EQ(at_two.err, "");
}

TEST(Policy, that_follows_steps_is_remarked_on_once_where_no_flag_says_the_step) {
  const PolicyFile steps("rules: [{match: {steps: 1-2}, use: dense, precision: bf16}]\n");
  const std::string batch = "--set=batch=1", vit = source_path("graphs/vit");
  const std::vector<std::vector<std::string>> subcommands = {
      {"run", model, batch, "--input", "x=zeros", "--input", "text=zeros"},
      {"verify", vit, vit},
      {"bench", model, model, batch, "--repeat", "1"},
      {"compare", model, batch, "--repeat", "1"},
      {"inspect", model, batch},
      {"grad", model, batch, "--loss=y", "--wrt=x", "--dout=zeros", "--input", "x=zeros", "--input", "text=zeros"}};
  for (auto arguments : subcommands) {
    SCOPED_TRACE(arguments[0]);
    arguments.insert(arguments.end(), {"--policy", steps.path});
    const Ran r = tessera_cli(arguments);
    EXPECT_EQ(r.code, 0) << r.err;
    const std::string remark = "has rules for steps; this is step 0 of 1, --step i/n sets another\n";
    EXPECT_THAT(r.err, HasSubstr(remark));
    EXPECT_EQ(r.err.find(remark), r.err.rfind(remark));
    arguments.insert(arguments.end(), {"--step", "1/2"});
    EXPECT_THAT(tessera_cli(arguments).err, Not(HasSubstr("has rules for steps")));
  }
}

TEST(Explain, errors_exit_with_4) {
  const auto expect = [](const std::string& text, const std::string& says) {
    const PolicyFile policy(text);
    for (const Ran& r : {explain(policy.path), tessera_cli({"run", model, "--policy", policy.path, "--set", "batch=1",
                                                            "--input", "x=zeros", "--input", "text=zeros"})}) {
      EXPECT_EQ(r.code, 4) << r.err;
      EXPECT_THAT(r.err, HasSubstr("tessera: error: " + policy.path + says));
      EXPECT_EQ(r.out, "");
    }
  };
  expect("rules: [{use: vsaa}]\n", ":2:15: there is no attention method 'vsaa'");
  expect("rules: [{match: {layers: 9}, use: dense}]\n", ":2:26: no site that the rule can match has layer 9");
  expect("rules:\n\t- use: dense\n", ":3:1: a tab");
  EXPECT_EQ(explain("/nowhere/p.yaml").code, 4);
  EXPECT_EQ(tessera_cli({"explain", model}).code, 2) << "--policy is needed";
  const PolicyFile plugin("plugins: [no_such_plugin]\n");
  EXPECT_EQ(explain(plugin.path).code, 5);
}

TEST(Explain, writes_locks_that_refuse_to_drift) {
  const PolicyFile policy(rules);
  const std::string lock = policy.folder / "lock.json";
  const Ran made = explain(policy.path, {"--lock", lock});
  ASSERT_EQ(made.code, 0) << made.err;
  const Json json = parse_json(file_text(lock));
  EXPECT_EQ(schema_problem(json, parse_json(file_text(source_path("runtime/policy/policy.schema.json")))), "");
  const Ran again = explain(lock, {"--format", "json"}), original = explain(policy.path, {"--format", "json"});
  ASSERT_EQ(again.code, 0) << again.err;
  const Json a = parse_json(again.out), b = parse_json(original.out);
  for (std::size_t s = 0; s < 3; ++s)
    for (const char* key : {"method", "parameters", "precision", "flops"})
      EXPECT_EQ(a["sites"][s]["bindings"][0][key], b["sites"][s]["bindings"][0][key]);
  const Ran other = tessera_cli({"explain", fixed, "--policy", lock});
  EXPECT_EQ(other.code, 4);
  EXPECT_THAT(other.err, HasSubstr("locked to another model"));
  Json drifted = json;
  drifted["lock"]["methods"][0]["version"] = 2;
  std::ofstream(lock) << drifted;
  const Ran drift =
      tessera_cli({"run", model, "--policy", lock, "--set", "batch=1", "--input", "x=zeros", "--input", "text=zeros"});
  EXPECT_EQ(drift.code, 4);
  EXPECT_THAT(drift.err, HasSubstr("locked to version 2 of method 'dense'; loaded is version 1"));
}

TEST(Explain, locks_keep_numbers_and_the_versions_of_plugins) {
  const PolicyFile policy(
      "plugins: [vsa]\ngrid: [4, 4]\n"
      "rules: [{match: {role: self, steps: [1000000-2000000, 33.333333%-66.666667%, 7]}, use: vsa, "
      "with: {tile: [2, 2], topk: 2}}]\n");
  const std::string lock = policy.folder / "lock.json";
  const Ran made = explain(policy.path, {"--lock", lock});
  ASSERT_EQ(made.code, 0) << made.err;
  Json json = parse_json(file_text(lock));
  EXPECT_EQ(json["rules"][0]["match"]["steps"], Json({"1000000-2000000", "33.333333%-66.666667%", "7"}));
  const Ran again = explain(lock);
  EXPECT_EQ(again.code, 0) << again.err;
  for (Json& method : json["lock"]["methods"])
    if (method["name"] == "vsa") method["library_version"] = "0.9";
  std::ofstream(lock) << json;
  const Ran drift = explain(lock);
  EXPECT_EQ(drift.code, 4);
  EXPECT_THAT(drift.err, HasSubstr("method 'vsa' is locked to that of library 'vsa' 0.9; loaded is that of"));
}

TEST(PolicyFlag, refuses_steps_before_the_first) {
  const PolicyFile policy(rules);
  const Ran r = explain(policy.path, {"--train-step", "-5"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("--train-step: must be from 0, got -5"));
  EXPECT_EQ(tessera_cli({"bench", model, "--policy", policy.path, "--train-step", "-1"}).code, 2);
}

TEST(PolicyFlag, reaches_every_subcommand) {
  const PolicyFile policy("rules: [{match: {role: self}, use: dense, precision: bf16}]\n");
  const std::vector<std::string> given = {"--policy", policy.path,       "--set",   "batch=1",
                                          "--input",  "x=random:normal", "--input", "text=random:normal"};
  const auto with_policy = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), given.begin(), given.end());
    const Ran r = tessera_cli(arguments);
    EXPECT_EQ(r.code, 0) << r.err;
    return r.out;
  };
  EXPECT_THAT(with_policy({"run", model, "--steps", "3", "--carry", "y=x"}), HasSubstr("3 steps"));
  EXPECT_THAT(with_policy({"inspect", model, "--after", "policy"}), HasSubstr("Cast"));
  EXPECT_THAT(with_policy({"grad", model, "--loss", "y", "--wrt", "w", "--dout", "random:normal"}), HasSubstr("d.w"));
  const Json bench = parse_json(
      with_policy({"bench", model, "--policy", "none", "--repeat", "7", "--threads", "1", "--format", "json"}));
  ASSERT_EQ(bench["results"].size(), 2u);
  EXPECT_EQ(bench["results"][0]["policy"], nullptr);
  EXPECT_EQ(bench["results"][1]["policy"], policy.path);
  EXPECT_EQ(bench["ratios"].size(), 1u);
  EXPECT_EQ(schema_problem(bench, parse_json(file_text(source_path("tools/schema/bench.schema.json")))), "");
}

TEST(Inspect, saves_a_bound_model) {
  const PolicyFile policy(rules);
  const std::string saved = policy.folder / "bound.onnx";
  const Ran r = tessera_cli(
      {"inspect", model, "--after", "policy", "--policy", policy.path, "--set", "batch=2", "--save-model", saved});
  ASSERT_EQ(r.code, 0) << r.err;
  const auto run = [](const std::string& path, std::vector<std::string> more) {
    more.insert(more.begin(), {"run", path, "--input", "x=random:normal", "--input", "text=random:normal"});
    return tessera_cli(more).out;
  };
  const auto outputs = [](const std::string& text) {
    const auto begin = text.find("outputs");
    return text.substr(begin, text.find("time") - begin);
  };
  EXPECT_EQ(outputs(run(saved, {})), outputs(run(model, {"--policy", policy.path, "--set", "batch=2"})));
  EXPECT_EQ(tessera_cli({"inspect", model, "--save-model", saved, "--set", "batch=2"}).code, 2);
}

}  // namespace
}  // namespace tessera
