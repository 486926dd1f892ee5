// The worked examples and the schema for editors, against the parser.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <set>

#include "runtime/policy/keys.h"
#include "runtime/policy/policy.h"
#include "tests/support/json_schema.h"
#include "tests/support/runner.h"

namespace tessera {
namespace {

Json json_of(const YAML::Node& node) {
  if (node.IsSequence()) {
    Json list = Json::array();
    for (const auto& item : node) list.push_back(json_of(item));
    return list;
  }
  if (node.IsMap()) {
    Json map = Json::object();
    for (const auto& pair : node) map[pair.first.Scalar()] = json_of(pair.second);
    return map;
  }
  if (node.Tag() == "!") return node.Scalar();
  const Json value = Json::parse(node.Scalar(), nullptr, false);
  return value.is_discarded() ? Json(node.Scalar()) : value;
}

const Json& schema() {
  static const Json schema = parse_json(file_text(source_path("runtime/policy/policy.schema.json")));
  return schema;
}

std::string problem_of(const std::string& text) { return schema_problem(json_of(YAML::Load(text)), schema()); }

std::set<std::string> examples() {
  std::set<std::string> paths;
  for (const auto& file : std::filesystem::directory_iterator(source_path("runtime/policy/examples")))
    paths.insert(file.path().string());
  return paths;
}

TEST(PolicyExamples, are_read_and_fit_the_schema) {
  EXPECT_GE(examples().size(), 20u);
  for (const auto& path : examples()) {
    EXPECT_NO_THROW(read_policy(path)) << path;
    EXPECT_EQ(problem_of(file_text(path)), "") << path;
    EXPECT_TRUE(file_text(path).starts_with("# ")) << path << " says what it shows";
  }
}

TEST(PolicySchema, has_the_keys_of_the_parser) {
  const auto expect_keys = [](const Json& object, std::span<const std::string_view> keys) {
    std::set<std::string> in_schema;
    for (const auto& [key, value] : object["properties"].items()) in_schema.insert(key);
    EXPECT_EQ(in_schema, (std::set<std::string>{keys.begin(), keys.end()}));
    EXPECT_EQ(object["additionalProperties"], false);
  };
  const Json& parts = schema()["$defs"];
  expect_keys(schema(), policy_keys::file);
  expect_keys(parts["grid"], policy_keys::grid);
  expect_keys(parts["rule"], policy_keys::rule);
  expect_keys(parts["match"], policy_keys::match);
  expect_keys(parts["linear"], policy_keys::linear);
  expect_keys(parts["linear_match"], policy_keys::linear_match);
  expect_keys(parts["schedule"], policy_keys::schedule);
  expect_keys(parts["lock"], policy_keys::lock);
  expect_keys(parts["lock_method"], policy_keys::lock_method);
}

TEST(PolicySchema, refuses_what_the_parser_refuses) {
  const std::string rule = "version: 1\nrules:\n  - use: m\n    ";
  for (const std::string text : {"default: dense", "version: 2", "version: 1\nrule: []", "version: 1\nrules: []",
                                 "version: 1\nrules: {}", "version: 1\ngrid: [0]", "version: 1\ngrid: {axes: [1]}",
                                 "version: 1\nrules: [{match: {}}]", "version: 1\nlinear: [{match: {name: x}}]"}) {
    EXPECT_THROW(parse_policy(text, "p.yaml"), Error) << text;
    EXPECT_NE(problem_of(text), "") << text;
  }
  for (const std::string text :
       {"match: {role: slef}", "match: {layers: two}", "match: {heads: 1.5}", "else: vsa", "match: {steps: 25%}",
        "match: {steps: 0-25%}", "match: {causal: 1}", "match: {when: [a]}", "optional: yes", "precision: fp16",
        "with: {a: {from: 0}}", "with: {a: []}", "with: {a: {from: 0, to: 1, add: 1, step: 1}}"}) {
    EXPECT_THROW(parse_policy(rule + text, "p.yaml"), Error) << text;
    EXPECT_NE(problem_of(rule + text), "") << text;
  }
}

}  // namespace
}  // namespace tessera
