// What a policy file means, as plain data.
#include <gmock/gmock.h>

#include "runtime/policy/policy.h"

namespace tessera {
namespace {

using testing::ElementsAre;

Policy parsed(const std::string& text) { return parse_policy("version: 1\n" + text, "p.yaml"); }
RuleMatch match(const std::string& text) {
  return parsed("rules: [{use: m, match: {" + text + "}}]").rules.at(0).match;
}

TEST(Policy, of_every_key) {
  const Policy p = parsed(
      "plugins: [vsa, ./mine.so]\n"
      "grid: {input: latent, axes: [2, 3, 4], patch: [1, 2, 2]}\n"
      "default: vsa\n"
      "rules:\n"
      "  - match: {role: self}\n"
      "    use: bsa\n"
      "    with: {tile: [4, 4, 4], keep_queries: 0.5, kv_rule: cdf, min_blocks: 4, \"tau\": 1e-1}\n"
      "    else: dense\n"
      "    optional: true\n"
      "    precision: bf16\n"
      "linear: [{match: {name: '*.ffn.*'}, precision: bf16}]\n");
  EXPECT_EQ(p.path, "p.yaml");
  ASSERT_EQ(p.plugins.size(), 2u);
  EXPECT_EQ(p.plugins[1].name, "./mine.so");
  EXPECT_EQ(p.grid->input, "latent");
  EXPECT_THAT(p.grid->axes, ElementsAre(2, 3, 4));
  EXPECT_THAT(p.grid->patch, ElementsAre(1, 2, 2));
  EXPECT_EQ(p.method, "vsa");
  const Rule& rule = p.rules.at(0);
  EXPECT_EQ(rule.at.line, 6);
  EXPECT_EQ(rule.at.column, 5);
  EXPECT_EQ(rule.method, "bsa");
  EXPECT_TRUE(rule.else_dense && rule.optional && rule.bf16);
  ASSERT_EQ(rule.with.size(), 5u);
  EXPECT_EQ(to_text(rule.with[0].value), "[4, 4, 4]");
  EXPECT_EQ(to_text(rule.with[1].value), "0.5");
  EXPECT_EQ(to_text(rule.with[2].value), "\"cdf\"");
  EXPECT_EQ(to_text(rule.with[3].value), "4");
  EXPECT_EQ(to_text(rule.with[4].value), "0.1");
  EXPECT_TRUE(p.linear.at(0).bf16);
  EXPECT_EQ(p.linear.at(0).match.names.at(0).text, "*.ffn.*");
}

TEST(Policy, may_say_almost_nothing) {
  const Policy p = parsed("");
  EXPECT_EQ(p.method, "dense");
  EXPECT_TRUE(p.rules.empty() && p.linear.empty() && p.plugins.empty() && !p.grid);
  EXPECT_EQ(parsed("rules: [{use: m}]").rules.at(0).match.roles.size(), 0u);
  EXPECT_EQ(parse_policy("{\"version\": 1, \"grid\": [4, 4]}", "p.json").grid->sizes.size(), 2u) << "JSON is YAML";
  EXPECT_EQ(parse_policy("version: 1\r\ndefault: vsa\r\n", "p").method, "vsa");
}

TEST(Policy, takes_scalars_for_lists) {
  const Policy p = parsed("plugins: vsa\ngrid: 1024\n");
  EXPECT_EQ(p.plugins.at(0).name, "vsa");
  EXPECT_THAT(p.grid->sizes, ElementsAre(1024));
  EXPECT_THAT(match("role: cross").roles, ElementsAre(Role::cross));
  EXPECT_THAT(match("role: [self, cross]").roles, ElementsAre(Role::self, Role::cross));
  EXPECT_EQ(match("layers: 3").layers.at(0).last, 3);
  EXPECT_EQ(match("layers: 3 - 5").layers.at(0).last, 5);
  EXPECT_EQ(match("heads: [0, 2-4]").heads.at(1).first, 2);
  EXPECT_EQ(match("name: [a, b]").names.size(), 2u);
}

TEST(Policy, anchors_stand_for_what_they_name) {
  const Policy p = parsed("rules:\n  - {use: m, with: &w {a: 1}}\n  - {use: m, with: *w}\n");
  EXPECT_EQ(to_text(p.rules.at(1).with.at(0).value), "1");
}

TEST(Globs, match_whole_names) {
  const auto glob = [](const char* pattern, const char* name) { return NamePattern{pattern, false}.matches(name); };
  EXPECT_TRUE(glob("blocks.7.*", "blocks.7.attn1.attention.0"));
  EXPECT_FALSE(glob("blocks.7.*", "blocks.17.attn1.attention.0"));
  EXPECT_FALSE(glob("blocks.7", "blocks.7.attn1"));
  EXPECT_TRUE(glob("*", ""));
  EXPECT_TRUE(glob("*.attn?.*", "a.attn1.b"));
  EXPECT_FALSE(glob("a?c", "ac"));
  EXPECT_TRUE(glob("*ab*ab*", "xabyabz"));
  EXPECT_FALSE(glob("*ab*ab*", "xaby"));
  EXPECT_FALSE(glob("blocks[7]", "blocks7")) << "brackets stand for themselves";
  const std::string many(5000, 'a');
  EXPECT_FALSE(glob("*a*a*a*a*a*a*a*a*b", many.c_str())) << "in time that does not explode";
}

TEST(Regexes, match_whole_names) {
  const auto regex = [](const char* pattern, const std::string& name) {
    return NamePattern{pattern, true}.matches(name);
  };
  EXPECT_TRUE(regex("blocks\\.\\d*[02468]\\..*", "blocks.12.attn1"));
  EXPECT_FALSE(regex("blocks\\.\\d*[02468]\\..*", "blocks.13.attn1"));
  EXPECT_FALSE(regex("blocks", "blocks.1"));
  EXPECT_FALSE(regex("(a|a)*b", std::string(2000, 'a'))) << "in time that does not explode";
}

TEST(Steps, are_numbers_or_shares_of_the_run) {
  const auto holds = [](const char* steps, int step, int of) {
    const auto ranges = match(concat("steps: ", steps)).steps;
    return std::any_of(ranges.begin(), ranges.end(), [&](const auto& r) { return r.holds(step, of); });
  };
  EXPECT_TRUE(holds("0-9", 9, 50));
  EXPECT_FALSE(holds("0-9", 10, 50));
  EXPECT_TRUE(holds("[3, 5]", 5, 50));
  EXPECT_FALSE(holds("[3, 5]", 4, 50));
  for (const int n : {1, 3, 4, 10, 50, 97})  // two shares that meet: every step is in exactly one
    for (int i = 0; i < n; ++i) EXPECT_NE(holds("0%-30%", i, n), holds("30%-100%", i, n)) << i << "/" << n;
  EXPECT_TRUE(holds("0%-25%", 0, 1)) << "a single run is the first step";
  EXPECT_TRUE(holds("0%-25%", 12, 50));
  EXPECT_FALSE(holds("0%-25%", 13, 50));
}

TEST(Schedules, reach_their_ends_exactly) {
  const auto schedule = [](const char* text) {
    return *parsed(concat("rules: [{use: m, with: {a: {", text, "}}}]")).rules.at(0).with.at(0).schedule;
  };
  const Schedule up = schedule("from: 0, to: 0.9, add: 0.03, every: 50, after: 50");
  EXPECT_EQ(up.at(0), 0);
  EXPECT_EQ(up.at(49), 0);
  EXPECT_EQ(up.at(50), 0.03);
  EXPECT_EQ(up.at(99), 0.03);
  EXPECT_EQ(up.at(100), 0.06);
  EXPECT_EQ(up.at(1499), 0.87);
  EXPECT_EQ(up.at(1500), 0.9) << "30 times 0.03 is not 0.9 in binary";
  EXPECT_EQ(up.at(1'000'000'000'000), 0.9);
  EXPECT_EQ(up.at(-1), 0.9) << "not training";
  EXPECT_EQ(schedule("from: 0, to: 0.8, add: 0.03").at(26), 0.78);
  EXPECT_EQ(schedule("from: 0, to: 0.8, add: 0.03").at(27), 0.8) << "the last addition is shortened";
  const Schedule down = schedule("from: 364, to: 32, add: -10, every: 50");
  EXPECT_EQ(down.after, 50);
  EXPECT_EQ(down.at(49), 364);
  EXPECT_EQ(down.at(50), 354);
  EXPECT_EQ(down.at(50 * 33), 34);
  EXPECT_EQ(down.at(50 * 34), 32);
  EXPECT_EQ(schedule("from: 1, to: 2, add: 1, after: 0").at(0), 2);
}

TEST(Conditions, compare_sizes) {
  AttentionSite site;
  site.tokens = 4096;
  site.keys = 77;
  site.batch = 2;
  site.q_heads = 12;
  site.head_dim = 128;
  const auto all = [&](const char* when) {
    const auto list = match(concat("when: \"", when, "\"")).when;
    return std::all_of(list.begin(), list.end(), [&](const auto& c) { return holds(c, site); });
  };
  for (const char* yes : {"tokens >= 4096", "tokens>=4096 and keys<78", "batch == 2", "heads != 13", "head_dim <= 128",
                          "tokens > 4095 and  tokens < 4097"})
    EXPECT_TRUE(all(yes)) << yes;
  for (const char* no : {"tokens > 4096", "tokens >= 4096 and keys == 78", "heads < 12", "head_dim != 128"})
    EXPECT_FALSE(all(no)) << no;
}

}  // namespace
}  // namespace tessera
