// Policies that do not fit their model or their methods: place, message, exit code 4.
#include <gmock/gmock.h>

#include "tests/support/policy_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Case {
  std::string text, place, says;
};

// Line 1 is "version: 1".
void expect_all(const std::vector<Case>& cases) {
  for (const auto& c : cases) {
    const std::string failure = failure_of_policy(c.text);
    EXPECT_THAT(failure, StartsWith(concat("p.yaml:", c.place, ": "))) << c.text;
    EXPECT_THAT(failure, HasSubstr(c.says)) << c.text;
  }
}

std::string rule(const std::string& text) { return "grid: [4, 4]\nrules:\n  - {" + text + "}\n"; }
std::string with(const std::string& text) {
  return rule("match: {layers: 0, role: self}, use: nearby, with: {" + text + "}");
}

TEST(PolicyOnModel, methods_and_parameters) {
  expect_all({
      {"default: dens\n", "2:10", "there is no attention method 'dens'; did you mean 'dense'?"},
      {rule("use: nearyb"), "4:11", "there is no attention method 'nearyb'; did you mean 'nearby'?"},
      {rule("use: vsa"), "4:11", "plugins bring more: 'plugins: [vsa]'"},
      {rule("use: dense, with: {share: 1}"), "4:25", "method 'dense' has no parameter 'share'; it takes none"},
      {with("shrae: 1"), "4:58", "method 'nearby' has no parameter 'shrae'; did you mean 'share'?"},
      {with("x: 1"), "4:58", "it takes tile, share, most_tokens, mode, extra, word, flag"},
      {with("share: half"), "4:65", "share"},
      {with("share: 1.5"), "4:65", "1.5"},
      {with("share: \"0.5\""), "4:65", "share"},
      {with("tile: [2, 0]"), "4:64", "tile"},
      {with("tile: [2, 1.5]"), "4:64", "tile"},
      {with("most_tokens: 1.5"), "4:71", "most_tokens"},
      {with("mode: fra"), "4:64", "near"},
      {with("mode: 3"), "4:64", "mode"},
      {with("share: {from: 0, to: 2, add: 0.5}"), "4:65", "2"},
      {with("extra: {from: 0, to: 2, add: 0.5}"), "4:65", "adding 0.5 leaves it none"},
      {with("extra: {from: 0.5, to: 2, add: 1}"), "4:65", "extra"},
      {with("extra: {from: 1e29, to: 1e29, add: 1}"), "4:65", "'extra' must be an integer, got 1e+29"},
      {with("flag: yes"), "4:64", "'flag' must be true (1) or false (0), got \"yes\""},
      {with("flag: \"true\""), "4:64", "'flag' must be true (1) or false (0), got \"true\""},
      {with("tile: {from: 1, to: 2, add: 1}"), "4:64", "tile"},
  });
}

TEST(PolicyOnModel, parameters_that_no_site_could_have) {
  const auto excused = [](const std::string& text) { return rule("use: nearby, else: dense, with: {" + text + "}"); };
  const std::string says = "method 'nearby' refuses its parameters, whatever the site: 'extra' is above 'most_tokens'";
  expect_all({
      {excused("extra: 9, most_tokens: 8"), "4:11", says},
      {excused("extra: {from: 9, to: 8, add: -1}, most_tokens: 8"), "4:11", says},
      {excused("extra: {from: 8, to: 9, add: 1}, most_tokens: 8"), "4:11", says},
      {excused("tile: 4"), "4:11", "parameter 'tile' of method 'nearby' has 1 axes, the policy's grid has 2"},
  });
  EXPECT_EQ(failure_of_policy(excused("most_tokens: 8")), "no error") << "sizes are the site's";
  EXPECT_EQ(failure_of_policy(with("flag: true")), "no error");
}

TEST(PolicyOnModel, rules_without_effect) {
  expect_all({
      {rule("match: {name: nothing}, use: dense"), "4:5", "the rule matches no attention site"},
      {rule("match: {name: blocks.0.attn1.attention.1}, use: dense"), "4:5",
       "did you mean 'blocks.0.attn1.attention.0'"},
      {rule("match: {role: cross, causal: true}, use: dense"), "4:5", "the rule matches no attention site"},
      {rule("match: {role: self, layers: [0-1, 29]}, use: dense"), "4:40",
       "no site that the rule can match has layer 29; there are layers 0-2"},
      {rule("match: {role: cross, layers: 0-2}, use: dense"), "4:35", "has layer 2; there are layers 0"},
      {rule("match: {heads: [0, 4]}, use: dense"), "4:25", "has head 4; there are heads 0-3"},
      {rule("match: {role: self}, use: dense") + "  - use: dense\n", "4:5",
       "the rule never wins: at every site a later rule (line 5) matches too"},
      {rule("match: {role: self, layers: 0-1}, use: dense") + "  - {match: {role: self, layers: 0}, use: dense}\n" +
           "  - {match: {name: '*.1'}, use: dense}\n",
       "4:5", "a later rule (line 5, 6) matches too"},
      {rule("match: {heads: 0}, use: dense") + "  - {match: {heads: 0-2}, use: dense}\n", "4:5", "(line 5)"},
      {"linear:\n  - {match: {name: '*.fnn'}, precision: bf16}\n", "3:5", "the rule matches no matrix product"},
      {"linear:\n  - {match: {name: '*.fnn'}, precision: bf16}\n", "3:5", "'optional: true'"},
      {"linear:\n  - {match: {name: 'blocks.0.fnn'}, precision: bf16}\n", "3:5", "did you mean 'blocks.0.ffn'"},
      {"linear:\n  - {match: {name: '*.0.*'}, precision: bf16, optional: true}\n  - {precision: f32}\n", "3:5",
       "the rule never wins: at every product a later rule (line 4) matches too"},
      {rule("match: {role: self}, use: dense, optional: true") + "  - use: dense\n", "4:5", "the rule never wins"},
  });
  for (const std::string& fine :
       {rule("match: {name: nothing}, use: dense, optional: true"),
        rule("match: {role: self, layers: 29}, use: dense, optional: true"),
        rule("match: {role: self, when: tokens > 99}, use: dense"), rule("match: {role: self, steps: 5-9}, use: dense"),
        rule("match: {role: self}, use: dense") + "  - {match: {steps: 5-9}, use: dense}\n",
        rule("match: {role: self}, use: dense") + "  - {match: {when: tokens > 99}, use: dense}\n",
        rule("match: {role: self}, use: dense") + "  - {match: {layers: 0}, use: dense}\n",
        std::string("linear:\n  - {match: {name: nothing}, precision: bf16, optional: true}\n"),
        std::string("linear:\n  - {precision: bf16}\n  - {match: {steps: 0}, precision: f32}\n")})
    EXPECT_EQ(failure_of_policy(fine), "no error") << fine;
}

TEST(PolicyOnModel, sites_that_a_method_refuses) {
  const std::string first = "rules:\n  - {match: {layers: 0, role: self}, use: nearby";
  expect_all({
      {first + "}\n", "3:43", "method 'nearby' refuses site 'blocks.0.attn1.attention.0': "},
      {first + "}\n", "3:43", "add 'grid: [T, H, W]' to the policy"},
      {"grid: [4, 5]\n" + first + "}\n", "4:43", "does not hold the 16 tokens"},
      {"grid: [16]\n" + first + "}\n", "4:43", "axes"},
      {"grid: [4, 4]\n" + first + ", with: {most_tokens: 8}}\n", "4:43", "there are 16 tokens, more than 8"},
      {"grid: [4, 4]\nrules: [{match: {role: cross}, use: nearby}]\n", "3:37", "cross-attention"},
      {"grid: [4, 4]\nrules: [{match: {causal: true}, use: nearby}]\n", "3:38", "causal"},
      {"grid: [4, 4]\nrules: [{match: {causal: true}, use: nearby}]\n", "3:38", "'else: dense' beside 'use'"},
      {"grid: [4, 4]\ndefault: nearby\n", "3:10", "refuses site 'blocks.2.attn1.attention.2'"},
  });
}

TEST(PolicyOnModel, heads) {
  expect_all({
      {rule("match: {layers: 0, role: self, heads: 1}, use: dense, precision: bf16"), "4:5",
       "the heads of site 'blocks.0.attn1.attention.0' cannot differ in precision"},
      {rule("match: {causal: true, heads: 1}, use: nearby"), "4:44", "method 'nearby' refuses site 'blocks.2"},
  });
}

TEST(PolicyOnModel, grids) {
  const auto grid = [](const std::string& text) { return "grid: {" + text + "}\n"; };
  expect_all({
      {grid("input: imaeg, axes: [2, 3]"), "2:7", "the model has no input 'imaeg'; did you mean 'image'?"},
      {grid("input: image, axes: [2, 4]"), "2:7", "input 'image' [1x3x8x8] has no axis 4"},
      {grid("input: image, axes: [2, 3], patch: [2, 3]"), "2:7", "axis 3 of input 'image' has 8 elements, which a"},
  });
}

}  // namespace
}  // namespace tessera
