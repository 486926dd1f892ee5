// What a policy does to a graph, and the trail it leaves.
#include <gmock/gmock.h>

#include "runtime/graph/verify.h"
#include "runtime/policy/precision.h"
#include "tests/support/interpret.h"
#include "tests/support/policy_model.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> methods_of(const PolicyModel& model) {
  std::vector<std::string> names;
  for (const auto& s : attention_sites(model.g)) names.emplace_back(model.g.at(s.node).op->name);
  return names;
}

std::vector<std::string> methods_under(const std::string& policy, const StepPosition& position = {}) {
  PolicyModel model;
  model.apply(policy, position);
  verify(model.g);
  return methods_of(model);
}

double predicted_sum(const SiteTrail& site) {
  double sum = 0;
  for (const auto& b : site.bindings) sum += b.flops;
  return sum;
}

std::string outcome(const RuleTrail& r) {
  constexpr const char* names[] = {"won", "lost", "unmatched"};
  return concat(names[static_cast<int>(r.outcome)], r.reason.empty() ? "" : " ", r.reason);
}

const std::string grid = "grid: [4, 4]\n";

TEST(Apply, leaves_sites_dense_where_no_rule_matches) {
  PolicyModel model;
  const Trail trail = model.apply("");
  EXPECT_THAT(methods_of(model), ElementsAre("dense", "dense", "dense", "dense"));
  ASSERT_EQ(trail.sites.size(), 4u);
  EXPECT_EQ(trail.sites[0].bindings.at(0).method, "dense");
  EXPECT_EQ(trail.sites[0].bindings.at(0).line, 0);
  EXPECT_EQ(trail.sites[0].density, 1);
  EXPECT_GT(trail.sites[0].flops, 0);
  EXPECT_EQ(trail.sites[0].flops, trail.sites[0].dense_flops);
}

TEST(Apply, binds_a_method_with_its_parameters_and_the_grid) {
  PolicyModel model;
  const Trail trail =
      model.apply(grid + "rules:\n  - match: {role: self, causal: false}\n    use: nearby\n    with: {share: 0.25}\n");
  verify(model.g);
  EXPECT_THAT(methods_of(model), ElementsAre("nearby", "nearby", "dense", "dense"));
  const Node& node = model.site(0);
  EXPECT_EQ(to_text(node.attributes.at("grid")), "[4, 4]");
  EXPECT_EQ(to_text(node.attributes.at("share")), "0.25");
  EXPECT_FALSE(node.attributes.contains("tile")) << "defaults stay with the method";
  EXPECT_FALSE(model.site(3).attributes.contains("grid"));
  const BindingTrail& binding = trail.sites[0].bindings.at(0);
  EXPECT_EQ(binding.line, 4);
  EXPECT_EQ(binding.method, "nearby");
  EXPECT_EQ(binding.library, "libnearby.so");
  EXPECT_EQ(binding.version, 3);
  std::string parameters;
  for (const auto& [name, value] : binding.parameters) parameters += concat(name, "=", to_text(value), " ");
  EXPECT_EQ(parameters, "tile=[2, 2] share=0.25 most_tokens=1000 mode=\"near\" ");
  EXPECT_EQ(binding.density, 0.25);
  EXPECT_LT(binding.flops, trail.sites[0].dense_flops);
  EXPECT_EQ(trail.sites[0].density, 0.25);
  EXPECT_EQ(trail.sites[2].density, 1);
  EXPECT_THAT(trail.grid, ElementsAre(4, 4));
}

TEST(Apply, the_last_match_wins_as_a_whole) {
  PolicyModel model;
  const Trail trail = model.apply(grid +
                                  "rules:\n"
                                  "  - match: {causal: false, role: self}\n"  // line 4
                                  "    use: nearby\n"
                                  "    with: {share: 0.25, mode: far}\n"
                                  "  - match: {layers: 1}\n"  // line 7
                                  "    use: nearby\n"
                                  "    with: {tile: [4, 4]}\n"
                                  "    optional: true\n"
                                  "  - match: {role: cross}\n"  // line 11
                                  "    use: dense\n");
  EXPECT_EQ(to_text(model.site(0).attributes.at("share")), "0.25");
  EXPECT_FALSE(model.site(1).attributes.contains("share")) << "parameters of losers do not shine through";
  EXPECT_EQ(to_text(model.site(1).attributes.at("tile")), "[4, 4]");
  EXPECT_EQ(outcome(trail.sites[0].rules[0]), "won");
  EXPECT_EQ(outcome(trail.sites[0].rules[1]), "unmatched layer is 0");
  EXPECT_EQ(outcome(trail.sites[0].rules[2]), "unmatched role is self");
  EXPECT_EQ(outcome(trail.sites[1].rules[0]), "lost to line 7");
  EXPECT_EQ(outcome(trail.sites[1].rules[1]), "won");
  EXPECT_EQ(outcome(trail.sites[2].rules[0]), "unmatched causal is true");
  EXPECT_EQ(outcome(trail.sites[3].rules[0]), "unmatched role is cross");
  EXPECT_EQ(trail.sites[3].bindings[0].line, 11);
}

TEST(Apply, matches_by_every_selector) {
  const auto with = [](const std::string& match) { return grid + "rules: [{match: {" + match + "}, use: nearby}]\n"; };
  EXPECT_THAT(methods_under(with("layers: [0, 1], role: self")), ElementsAre("nearby", "nearby", "dense", "dense"));
  EXPECT_THAT(methods_under(with("layers: 0-1, role: self")), ElementsAre("nearby", "nearby", "dense", "dense"));
  EXPECT_THAT(methods_under(with("name: 'blocks.1.*'")), ElementsAre("dense", "nearby", "dense", "dense"));
  EXPECT_THAT(methods_under(with("name: ['*.0', '*.1']")), ElementsAre("nearby", "nearby", "dense", "dense"));
  EXPECT_THAT(methods_under(with("regex: 'blocks\\.[01]\\..*'")), ElementsAre("nearby", "nearby", "dense", "dense"));
  EXPECT_THAT(methods_under(with("name: 'blocks.*', regex: '.*1'")), ElementsAre("dense", "nearby", "dense", "dense"));
  EXPECT_THAT(methods_under(with("causal: false, when: keys == 16")),
              ElementsAre("nearby", "nearby", "dense", "dense"));
  EXPECT_THAT(methods_under(with("causal: false, when: tokens > 16")), ElementsAre("dense", "dense", "dense", "dense"));
  EXPECT_THAT(methods_under(with("name: 'blocks.0.*', when: \"batch == 2 and heads == 4 and head_dim == 2\"")),
              ElementsAre("nearby", "dense", "dense", "dense"));
}

TEST(Apply, heads_of_one_site_go_by_several_methods) {
  const std::string policy = grid +
                             "rules:\n"
                             "  - {match: {role: self, causal: false}, use: nearby, with: {share: 0.25, mode: far}}\n"
                             "  - {match: {layers: 1, heads: [0, 2-3], role: self}, use: dense}\n";
  PolicyModel model;
  const Trail trail = model.apply(policy);
  verify(model.g);
  EXPECT_THAT(methods_of(model), ElementsAre("nearby", "by_head", "dense", "dense"));
  const Node& node = model.site(1);
  EXPECT_EQ(to_text(node.attributes.at("head_method")), "[0, 1, 0, 0]");
  EXPECT_EQ(to_text(node.attributes.at("methods")), "[dense, nearby mode=\"far\" share=0.25]");
  const SiteTrail& site = trail.sites[1];
  ASSERT_EQ(site.bindings.size(), 2u);
  EXPECT_EQ(site.bindings[0].method, "dense");
  EXPECT_THAT(site.bindings[0].heads, ElementsAre(0, 2, 3));
  EXPECT_THAT(site.bindings[1].heads, ElementsAre(1));
  EXPECT_EQ(site.density, (3 + 0.25) / 4);
  EXPECT_LT(site.flops, site.dense_flops);
  EXPECT_EQ(outcome(site.rules[0]), "won heads 1, lost others to line 5");
  EXPECT_EQ(outcome(site.rules[1]), "won heads 0, 2-3");
  EXPECT_NEAR(predicted_sum(trail.sites[1]), site.flops, 1e-6 * site.flops);
  const Trail again = model.apply("");
  EXPECT_EQ(again.sites[1].bindings.size(), 2u) << "by_head of a file stays, and is described";
  EXPECT_EQ(again.sites[1].density, site.density);
  EXPECT_EQ(again.sites[1].bindings[1].flops, site.bindings[1].flops);
}

TEST(Apply, heads_that_come_out_alike_are_one_node) {
  EXPECT_THAT(methods_under(grid + "rules: [{match: {layers: 0, role: self, heads: 1}, use: dense}]\n"),
              ElementsAre("dense", "dense", "dense", "dense"));
  EXPECT_THAT(methods_under(grid + "rules: [{match: {causal: true}, use: nearby, else: dense}, "
                                   "{match: {causal: true, heads: 0}, use: dense}]\n"),
              ElementsAre("dense", "dense", "dense", "dense"));
  EXPECT_THAT(methods_under(grid + "rules: [{match: {layers: 0, role: self}, use: nearby, with: {share: 1}},"
                                   "{match: {layers: 0, role: self, heads: 3}, use: nearby, with: {share: 1.0}}]\n"),
              ElementsAre("nearby", "dense", "dense", "dense"));
}

TEST(Apply, steps_choose_among_rules) {
  const std::string policy = grid +
                             "rules:\n"
                             "  - {match: {name: 'blocks.0.*'}, use: nearby}\n"
                             "  - {match: {name: 'blocks.0.*', steps: 0%-25%}, use: dense}\n";
  EXPECT_THAT(methods_under(policy, {0, 8})[0], "dense");
  EXPECT_THAT(methods_under(policy, {1, 8})[0], "dense");
  EXPECT_THAT(methods_under(policy, {2, 8})[0], "nearby");
  const Policy p = parse_policy("version: 1\n" + policy, "p.yaml");
  EXPECT_EQ(step_class(p, {0, 8}), step_class(p, {1, 8})) << "one plan serves both";
  EXPECT_FALSE(step_class(p, {1, 8}) == step_class(p, {2, 8}));
  EXPECT_EQ(step_class(p, {2, 8}), step_class(p, {7, 8}));
  PolicyModel model;
  EXPECT_EQ(outcome(model.apply(policy, {2, 8}).sites[0].rules[1]), "unmatched another step");
}

TEST(Apply, schedules_follow_the_step_of_training) {
  const std::string policy =
      grid +
      "rules: [{match: {layers: 0, role: self}, use: nearby, with: {share: {from: 1, to: 0.25, add: -0.25, "
      "every: 10}, extra: {from: 4, to: 1, add: -2}}}]\n";
  const auto at = [&](std::int64_t train_step) {
    PolicyModel model;
    model.apply(policy, {.train_step = train_step});
    return concat(to_text(model.site(0).attributes.at("share")), " ", to_text(model.site(0).attributes.at("extra")));
  };
  EXPECT_EQ(at(0), "1 4");
  EXPECT_EQ(at(1), "1 2");
  EXPECT_EQ(at(2), "1 1");
  EXPECT_EQ(at(10), "0.75 1");
  EXPECT_EQ(at(29), "0.5 1");
  EXPECT_EQ(at(30), "0.25 1");
  EXPECT_EQ(at(-1), "0.25 1") << "not training: where the schedules end";
  const Policy p = parse_policy("version: 1\n" + policy, "p.yaml");
  EXPECT_EQ(step_class(p, {.train_step = 10}), step_class(p, {.train_step = 19}));
  EXPECT_FALSE(step_class(p, {.train_step = 10}) == step_class(p, {.train_step = 20}));
}

TEST(Apply, falls_back_to_dense_only_where_asked_and_counts_it) {
  PolicyModel model;
  const Trail trail = model.apply(grid + "rules: [{use: nearby, else: dense, precision: bf16}]\n");
  EXPECT_THAT(methods_of(model), ElementsAre("nearby", "nearby", "dense", "dense"));
  EXPECT_EQ(trail.fallbacks, 2);
  const BindingTrail& causal = trail.sites[2].bindings.at(0);
  EXPECT_EQ(causal.method, "dense");
  EXPECT_EQ(causal.refused_method, "nearby");
  EXPECT_THAT(causal.refusal, HasSubstr("causal"));
  EXPECT_TRUE(causal.bf16) << "dense attention can do that part of the rule";
  EXPECT_THAT(trail.sites[3].bindings.at(0).refusal, HasSubstr("cross-attention"));
  EXPECT_EQ(trail.sites[1].bindings.at(0).refusal, "");
}

TEST(Apply, heads_that_fall_back_keep_the_precision_of_the_others) {
  PolicyModel model;
  const Trail trail = model.apply(grid +
                                  "rules: [{use: dense, precision: bf16}, {match: {causal: true, heads: 0}, "
                                  "use: nearby, else: dense, precision: bf16}]\n");
  verify(model.g);
  EXPECT_EQ(trail.fallbacks, 1);
  EXPECT_TRUE(trail.sites[2].bindings.at(0).bf16 && trail.sites[2].bindings.at(1).bf16);
  EXPECT_EQ(model.g.at(model.site(2).in[0]).dtype, DType::bf16);
}

TEST(Apply, a_site_bound_in_the_file_stays_where_no_rule_speaks) {
  PolicyModel model;
  model.apply(grid + "rules: [{match: {layers: 0-1, role: self}, use: nearby, with: {share: 0.25}}]\n");
  const Trail second = model.apply("rules: [{match: {layers: 1, role: self}, use: dense}]\n");
  EXPECT_THAT(methods_of(model), ElementsAre("nearby", "dense", "dense", "dense"));
  EXPECT_EQ(second.sites[0].bindings.at(0).density, 0.25);
  EXPECT_FALSE(model.site(1).attributes.contains("share"));
  EXPECT_FALSE(model.site(1).attributes.contains("grid"));
  model.apply("grid: [16]\nrules: [{match: {layers: 0, role: self}, use: nearby, with: {tile: 8, mode: far}}]\n");
  EXPECT_FALSE(model.site(0).attributes.contains("share")) << "parameters of the former binding are gone";
  EXPECT_EQ(to_text(model.site(0).attributes.at("tile")), "[8]") << "a number serves for a list";
}

TEST(Apply, heads_of_a_site_bound_in_the_file_stay_where_no_rule_speaks) {
  PolicyModel model;
  model.apply(grid + "rules: [{match: {layers: 0, role: self}, use: nearby, with: {share: 0.25}}]\n");
  const Trail second = model.apply("rules: [{match: {layers: 0, role: self, heads: 1}, use: dense}]\n");
  verify(model.g);
  EXPECT_EQ(to_text(model.site(0).attributes.at("methods")), "[nearby share=0.25, dense]");
  EXPECT_EQ(to_text(model.site(0).attributes.at("head_method")), "[0, 1, 0, 0]");
  EXPECT_EQ(to_text(model.site(0).attributes.at("grid")), "[4, 4]") << "the file's: the policy has none";
  EXPECT_EQ(second.sites[0].bindings.at(0).method, "nearby");
  EXPECT_EQ(second.sites[0].bindings.at(0).line, 0);
  EXPECT_EQ(second.sites[0].density, (3 * 0.25 + 1) / 4);
  const Trail third = model.apply("rules: [{match: {layers: 0, role: self, heads: 2}, use: nearby}]\n");
  verify(model.g);
  EXPECT_EQ(to_text(model.site(0).attributes.at("head_method")), "[0, 1, 2, 0]") << "by_head of a file, too";
  EXPECT_EQ(third.sites[0].bindings.size(), 3u);
}

// Layer 0 with `nearby` and a gate.
struct GatedModel : PolicyModel {
  GatedModel() {
    apply(grid + "rules: [{match: {layers: 0, role: self}, use: nearby, with: {share: 0.25}}]\n");
    Node& n = g.at(attention_sites(g)[0].node);
    n.in.resize(8, ValueId::none);
    n.in[7] = n.in[0];
  }
};

TEST(Apply, a_gate_in_the_file_stays_where_the_method_takes_it) {
  GatedModel model;
  const Trail trail = model.apply(grid + "rules: [{match: {layers: 0, role: self}, use: nearby}]\n");
  verify(model.g);
  EXPECT_EQ(model.site(0).in.size(), 8u);
  EXPECT_THAT(trail.sites[0].bindings.at(0).inputs, ElementsAre("gate"));
  GatedModel heads;
  const Trail split = heads.apply(
      grid + "rules: [{match: {layers: 0, role: self, heads: 3}, use: dense, else: dense, precision: f32}]\n");
  verify(heads.g);
  EXPECT_EQ(methods_of(heads)[0], "by_head");
  EXPECT_EQ(heads.site(0).in.size(), 8u);
  EXPECT_EQ(split.fallbacks, 1);
  EXPECT_EQ(split.sites[0].bindings.at(1).refusal, "it cannot take the input 'gate' that the site has in the file");
  EXPECT_THAT(split.sites[0].bindings.at(0).inputs, ElementsAre("gate"));
  EXPECT_THAT(split.sites[0].bindings.at(1).inputs, ElementsAre());
}

std::string refusal_by(PolicyModel& model, const std::string& policy) {
  try {
    model.apply(policy);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::policy);
    return e.what();
  }
  return "no error";
}

TEST(Apply, refuses_what_would_drop_a_gate_or_split_a_grid) {
  GatedModel gated, other;
  EXPECT_THAT(refusal_by(gated, "rules: [{match: {layers: 0, role: self}, use: dense}]\n"),
              HasSubstr("p.yaml:2:47: method 'dense' refuses site 'blocks.0.attn1.attention.0': it cannot take the "
                        "input 'gate' that the site has in the file"));
  EXPECT_THAT(
      refusal_by(other,
                 "grid: [16]\nrules: [{match: {layers: 0, role: self, heads: 0}, use: nearby, with: {tile: 4}}]\n"),
      HasSubstr("p.yaml:3:57: the heads of site 'blocks.0.attn1.attention.0' cannot go by several methods: in "
                "the file they have the grid [4, 4], the policy's is [16]"));
}

TEST(Apply, a_frozen_selection_stays_with_its_site_or_goes) {
  struct Frozen : PolicyModel {
    Frozen() {
      apply(grid + "rules: [{match: {layers: 0, role: self}, use: nearby}]\n");
      Node& n = g.at(attention_sites(g)[0].node);
      n.in.resize(9, ValueId::none);
      n.in[8] = input("selection", {2, 4, 4, 6}, DType::i32);
    }
  };
  Frozen untouched, whole, split, fallback;
  untouched.apply(grid + "rules: [{match: {layers: 1, role: self}, use: nearby}]\n");
  EXPECT_EQ(untouched.site(0).in.size(), 9u);
  EXPECT_THAT(refusal_by(whole, grid + "rules: [{match: {layers: 0, role: self}, use: nearby}]\n"),
              HasSubstr("it cannot take the input 'selection' that the site has in the file"));
  EXPECT_THAT(
      refusal_by(split, grid + "rules: [{match: {layers: 0, role: self, heads: 0}, use: dense, else: dense}]\n"),
      HasSubstr("cannot go by several methods: in the file they freeze their selection"));
  EXPECT_EQ(fallback.apply("rules: [{match: {layers: 0, role: self}, use: dense, else: dense}]\n").fallbacks, 1);
  EXPECT_EQ(fallback.site(0).in.size(), 3u);
}

TEST(Apply, reads_the_grid_off_an_input) {
  PolicyModel model;
  const Trail trail = model.apply(
      "grid: {input: image, axes: [2, 3], patch: [2, 2]}\nrules: [{match: {layers: 0, role: self}, use: nearby}]\n");
  EXPECT_THAT(trail.grid, ElementsAre(4, 4));
}

TEST(Apply, rounds_operands_to_bf16) {
  PolicyModel model, reference;
  const Trail trail = model.apply(
      "rules: [{match: {role: self}, use: dense, precision: bf16}]\n"
      "linear:\n"
      "  - {match: {name: '*.ffn'}, precision: bf16}\n"
      "  - {match: {regex: 'blocks.[1].*'}, precision: f32}\n");
  verify(model.g);
  ASSERT_EQ(trail.linear.size(), 3u);
  EXPECT_EQ(trail.linear[0].name, "blocks.0.ffn");
  EXPECT_TRUE(trail.linear[0].bf16);
  EXPECT_EQ(trail.linear[0].line, 4);
  EXPECT_FALSE(trail.linear[1].bf16);
  EXPECT_EQ(trail.linear[1].line, 5);
  EXPECT_EQ(trail.linear[0].flops, 2.0 * 2 * 4 * 16 * 2 * 2);
  EXPECT_TRUE(trail.sites[0].bindings[0].bf16);
  EXPECT_EQ(model.g.at(trail.sites[0].site.node).op->name, "dense") << "nodes are found after casts have moved them";
  EXPECT_EQ(model.g.at(model.site(0).in[0]).dtype, DType::bf16);
  EXPECT_EQ(model.g.at(model.site(3).in[0]).dtype, DType::f32);
  EXPECT_EQ(model.g.at(model.g.outputs[0].value).dtype, DType::f32);
  int rounded = 0;
  for (const auto& n : model.g.nodes) {
    if (n.op->name == "MatMul") {
      EXPECT_THAT(n.name, HasSubstr("blocks.1"));
    }
    if (n.op->name != "WideMatMul") continue;
    ++rounded;
    EXPECT_EQ(model.g.at(n.in[0]).dtype, DType::bf16);
    EXPECT_EQ(model.g.at(n.in[1]).dtype, DType::bf16);
    EXPECT_EQ(model.g.at(n.out[0]).dtype, DType::f32) << "sums are not rounded";
  }
  EXPECT_GT(rounded, 0);
}

TEST(Apply, keeps_the_names_of_what_it_rounds) {
  PolicyModel model;
  model.apply("rules: [{use: dense, precision: bf16}]\nlinear: [{precision: bf16}]\n");
  for (const char* name : {"/blocks.0/attn1/Softmax", "/blocks.0/ffn/MatMul", "/cross/attn2/Softmax"}) {
    ASSERT_TRUE(model.g.find(name)) << name;
    EXPECT_EQ(model.g.find(name)->dtype, DType::f32);
  }
}

TEST(Apply, keeps_the_types_of_results_that_others_read) {
  SmallGraph e;
  const ValueId q = e.input("q", {1, 1, 3, 2}, DType::f64);
  const auto out = e.build.nodes("tessera.attention::dense", {q, q, q}, {}, 5);
  e.output("y", out[0]);
  e.output("lse", out[4]);
  Edit edit(e.g, builtin_registry());
  compute_in_bf16(e.g, edit, NodeId{0});
  edit.commit();
  verify(e.g);
  for (const auto& o : e.g.outputs) EXPECT_EQ(e.g.at(o.value).dtype, DType::f64);
}

TEST(Apply, knows_no_products_that_cannot_be_rounded) {
  PolicyModel model;
  const ValueId ids = model.input("ids", {2, 2}, DType::i32);
  model.output("sums", model.named("/sums/MatMul", "MatMul", {ids, ids}));
  EXPECT_THAT(
      [&] { model.apply("linear: [{match: {name: sums}, precision: bf16}]\n"); },
      testing::ThrowsMessage<Error>(HasSubstr("no matrix product in f32, f64 or f16; there is 'blocks.0.ffn', ")));
  for (const auto& product : model.apply("linear: [{match: {name: '*'}, precision: bf16}]\n").linear)
    EXPECT_THAT(product.name, HasSubstr(".ffn"));
}

}  // namespace
}  // namespace tessera
