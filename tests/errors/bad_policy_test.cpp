// Bad policies: each with its line and column, a clear message and exit code 4.
#include <gmock/gmock.h>

#include "runtime/policy/policy.h"

namespace tessera {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Case {
  std::string text, place, says;
};

std::string failure_of(const std::string& text) {
  try {
    parse_policy(text, "p.yaml");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::policy) << text;
    return e.what();
  }
  return "no error";
}

void expect_all(const std::vector<Case>& cases) {
  for (const auto& c : cases) {
    const std::string failure = failure_of(c.text);
    const std::string shown = c.text.substr(0, 200);
    EXPECT_THAT(failure, StartsWith(concat("p.yaml:", c.place, c.place.empty() ? " " : ": "))) << shown;
    EXPECT_THAT(failure, HasSubstr(c.says)) << shown;
  }
}

std::string rule(const std::string& text) { return "version: 1\nrules:\n  - " + text; }
std::string match(const std::string& text) { return rule("match: {" + text + "}\n    use: dense\n"); }
std::string with(const std::string& text) { return rule("use: m\n    with: {" + text + "}\n"); }
std::string linear(const std::string& text) { return "version: 1\nlinear:\n  - " + text; }

TEST(BadPolicy, files) {
  expect_all({
      {"", "1:1", "the file is empty; the smallest policy is 'version: 1'"},
      {"# nothing\n", "1:1", "the file is empty"},
      {"- version: 1\n", "1:1", "the policy takes keys with values, got a list"},
      {"version\n", "1:1", "the policy takes keys with values, got the text 'version'"},
      {"default: dense\n", "1:1", "the key 'version' is missing; write 'version: 1'"},
      {"version: 2\n", "1:10", "version 2 of the policy language is not known; this reads version 1"},
      {"version: one\n", "1:10", "version takes a whole number, got the text 'one'"},
      {"version: \"1\"\n", "1:10", "version takes a whole number, got the text '1'"},
      {"version: !!int 1\n", "1:10", "the tag tag:yaml.org,2002:int has no meaning"},
      {"version: 1\nversion: 1\n", "2:1", "'version' stands here twice; first in line 1"},
      {"version: 1\nrule: []\n", "2:1", "unknown key 'rule' in the policy; did you mean 'rules'?"},
      {"version: 1\nx: []\n", "2:1", "it takes version, plugins, grid, default, rules, linear, lock"},
      {"version: 1\nrules:\n\t- use: dense\n", "3:1", "a tab in the indentation; YAML takes spaces only"},
      {"version: 1\nrules: [\n", "3:1", "end of sequence flow not found"},
      {"version: 1\nrules: {use: dense}\n", "2:8", "rules takes a list, got keys with values"},
      {"version: 1\nrules: []\n", "2:8", "rules is an empty list; leave the key out"},
      {"version: 1\nrules:\n", "3:1", "rules takes a list, got nothing"},
      {"version: 1\n---\nversion: 1\n", "2:1", "the document has ended before this"},
      {"version: 1\n]\n", "2:1", "illegal flow end"},
      {"]\n", "1:1", "illegal flow end"},
      {std::string("version: 1\n\0", 12), "2:1", "a control character; is this text?"},
      {"version: 1\ndefault: *d\n", "2:10", "the referenced anchor is not defined"},
      {"version: 1\ndefault: ''\n", "2:10", "default is empty"},
      {"version: 1\nplugins: {vsa: 1}\n", "2:10", "plugins takes a list, got keys with values"},
      {"version: 1\nplugins: [[vsa]]\n", "2:11", "plugins takes text, got a list"},
      {std::string(100'000, '['), "1:1", "nested too deeply"},
      {"version: 1\nx: " + std::string(20'000, '['), "2:1", "nested too deeply"},
      {std::string(2'000'000, ' '), "", "2000000 bytes; a policy has at most 1048576"},
  });
}

TEST(BadPolicy, grids) {
  expect_all({
      {"version: 1\ngrid: {input: x, axes: [2, 3, 2]}\n", "2:31", "axis 2 stands in axes twice"},
      {"version: 1\ngrid: [8, 0, 8]\n", "2:11", "grid must be from 1 to"},
      {"version: 1\ngrid: [2, 2, 2, 2, 2]\n", "2:7", "grid has 5 numbers; a grid has 1 to 4 axes"},
      {"version: 1\ngrid: 8x8\n", "2:7", "grid takes a whole number, got the text '8x8'"},
      {"version: 1\ngrid: {axes: [2, 3]}\n", "2:7", "grid needs 'input'"},
      {"version: 1\ngrid: {input: x}\n", "2:7", "grid needs 'axes': which axes of input 'x'"},
      {"version: 1\ngrid: {input: x, axis: [1]}\n", "2:18", "unknown key 'axis' in grid; did you mean 'axes'?"},
      {"version: 1\ngrid: {input: x, axes: [1], patch: [1, 2]}\n", "2:7", "grid has 1 axes but a patch of 2"},
  });
}

TEST(BadPolicy, rules) {
  expect_all({
      {rule("dense\n"), "3:5", "a rule takes keys with values, got the text 'dense'"},
      {rule("match: {role: self}\n"), "3:5", "the rule says no method; add 'use: NAME'"},
      {rule("use: [dense]\n"), "3:10", "use takes text, got a list"},
      {rule("use: dense\n    wiht: {}\n"), "4:5", "unknown key 'wiht' in rules; did you mean 'with'?"},
      {rule("use: dense\n    optional: yes\n"), "4:15", "optional takes true or false, got the text 'yes'"},
      {rule("use: dense\n    else: vsa\n"), "4:11", "else must be dense, got 'vsa'"},
      {rule("use: dense\n    precision: fp16\n"), "4:16", "precision must be f32 or bf16, got 'fp16'; did you mean"},
      {rule("use: dense\n    match: self\n"), "4:12", "match takes keys with values, got the text 'self'"},
      {rule("use: dense\n    with: [1]\n"), "4:11", "with takes keys with values, got a list"},
      {linear("match: {name: x}\n"), "3:5", "the rule says nothing about precision"},
      {linear("match: {role: self}\n    precision: bf16\n"), "3:13", "unknown key 'role' in match"},
      {linear("use: dense\n"), "3:5", "unknown key 'use' in linear; it takes match, precision, optional"},
  });
}

TEST(BadPolicy, selectors) {
  expect_all({
      {match("roles: self"), "3:13", "unknown key 'roles' in match; did you mean 'role'?"},
      {match("role: slef"), "3:19", "role must be self or cross, got 'slef'; did you mean 'self'?"},
      {match("role: [self, 3]"), "3:26", "role must be self or cross, got '3'"},
      {match("role: self, role: cross"), "3:25", "'role' stands here twice; first in line 3"},
      {match("causal: 1"), "3:21", "causal takes true or false, got the number 1"},
      {match("layers: two"), "3:21", "layers takes numbers from 0 and ranges such as 0-3, got 'two'"},
      {match("layers: [0, -1]"), "3:25", "layers takes numbers from 0 and ranges such as 0-3, got '-1'"},
      {match("layers: 0-x"), "3:23", "got 'x'"},
      {match("layers: 5-3"), "3:21", "the range 5-3 of layers is empty"},
      {match("layers: 99999999999999999999"), "3:21", "got '99999999999999999999'"},
      {match("heads: 1.5"), "3:20", "heads takes numbers from 0"},
      {match("heads: {a: 1}"), "3:20", "heads takes a list, got keys with values"},
      {match("steps: 0%-120%"), "3:23", "or percents of the run as 0%-25%, got '120%'"},
      {match("steps: 25%"), "3:20", "one percent is no range; write 0%-25%"},
      {match("steps: 50%-50%"), "3:20", "the range 50%-50% of steps is empty"},
      {match("steps: 0-25%"), "3:20", "got '0'"},
      {match("when: tokens"), "3:25", "when: expected <, <=, >, >=, == or !=, got ''"},
      {match("when: token >= 4096"), "3:19", "got 'token'; did you mean 'tokens'?"},
      {match("when: tokens => 4096"), "3:26", "got '=>'"},
      {match("when: \"tokens >= 4k\""), "3:30", "when compares with whole numbers, got '4k'"},
      {match("when: tokens >= 4 or heads == 2"), "3:31", "'and' must join the comparisons"},
      {match("when: [tokens > 1]"), "3:19", "when takes text, got a list"},
      {match("regex: '('"), "3:20", "is no regular expression"},
      {match("regex: '(a)\\1'"), "3:20", "is no regular expression"},
      {match("regex: '(a{1000}){1000}'"), "3:20", "is no regular expression"},
      {match("name: " + std::string(501, 'a')), "3:19", "a pattern of more than 500 characters"},
  });
}

TEST(BadPolicy, parameters) {
  expect_all({
      {with("tile: [4, x]"), "4:22", "tile takes a list of numbers, got the text 'x' in it"},
      {with("tile: []"), "4:18", "tile is an empty list"},
      {with("a: 1, a: 2"), "4:18", "'a' stands here twice; first in line 4"},
      {with("a:"), "4:14", "a takes text, got nothing"},
      {with("a: {from: 0, to: 1}"), "4:15", "the schedule of a needs 'add'"},
      {with("a: {from: 0, to: 1, step: 1}"), "4:32", "unknown key 'step' in a"},
      {with("a: {from: 0, to: x, add: 1}"), "4:29", "to takes a number, got the text 'x'"},
      {with("a: {from: 0, to: .nan, add: 1}"), "4:29", "to takes a number"},
      {with("a: {from: 0, to: 1, add: -0.1}"), "4:15", "adding -0.1 to 0 never reaches 1"},
      {with("a: {from: 0, to: 1, add: 0}"), "4:15", "adding 0 to 0 never reaches 1"},
      {with("a: {from: 0, to: 1, add: 1, every: 0}"), "4:47", "every must be from 1 to"},
      {with("a: {from: 0, to: 1e9, add: 1}"), "4:15", "more than 100000 stages"},
  });
}

}  // namespace
}  // namespace tessera
