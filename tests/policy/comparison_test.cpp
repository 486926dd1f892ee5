// The joint graph of a reference and its policies, against running each graph by itself.
#include "runtime/policy/comparison.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/attention/geometry.h"
#include "runtime/plan/plan.h"
#include "tests/support/interpret.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

constexpr std::int64_t length = 6, dim = 4;

// Two attentions one after the other over x [1 x 2 x length x dim], with a product between them. `causal` makes the
// first one attend to fewer keys, as a policy would.
void two_sites(SmallGraph& e, bool causal) {
  const auto x = e.input("x", {1, 2, length, dim});
  const Attributes attributes{{"is_causal", std::int64_t{causal}}};
  const auto first = e.named("/blocks.0/Softmax", "tessera.attention::dense", {x, x, x}, attributes);
  const auto scaled = e.node("Mul", {first, e.constant("2")});
  e.output("y", e.named("/blocks.1/Softmax", "tessera.attention::dense", {scaled, x, scaled}));
}

Tensor input() {
  Tensor x(DType::f32, {1, 2, length, dim});
  auto elements = x.write<float>();
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = std::sin(1.7f * static_cast<float>(i)) * 1.5f;
  return x;
}

struct Errors {
  double relative, greatest;
};
Errors errors(const Tensor& a, const Tensor& b) {
  double difference = 0, reference = 0, greatest = 0;
  const auto x = a.read<float>(), y = b.read<float>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    difference += std::pow(x[i] - y[i], 2.0);
    reference += std::pow(y[i], 2.0);
    greatest = std::max<double>(greatest, std::abs(x[i] - y[i]));
  }
  return {std::sqrt(difference / reference), greatest};
}
Errors of_sums(const Tensor& sums) {
  const auto s = sums.read<double>();
  return {std::sqrt(s[0] / s[2]), s[4]};
}

TEST(CompareGraphs, measures_each_site_alone_and_with_what_went_before) {
  SmallGraph reference, policy;
  two_sites(reference, false);
  two_sites(policy, true);
  const JointGraph joint = compare_graphs(reference.g, std::span(&policy.g, 1), builtin_registry());
  const auto all = interpret(joint.graph, {{"x", input()}});
  // The same graphs by themselves, with what their sites give.
  const auto values = [&](SmallGraph& e) {
    e.output("first", e.g.nodes.front().out[0]);
    e.output("lse", e.build.output_of(static_cast<NodeId>(0), attention_output::lse));
    return interpret(e.g, {{"x", input()}});
  };
  const auto dense = values(reference), causal = values(policy);

  ASSERT_EQ(joint.sites.size(), 2u);
  EXPECT_EQ(joint.sites[0].name, "blocks.0.attention.0");
  const auto& sites = joint.policies.at(0).sites;
  const Errors first = errors(causal.at("first"), dense.at("first"));
  ASSERT_GT(first.relative, 0.01);
  EXPECT_NEAR(of_sums(all.at(sites[0].isolated)).relative, first.relative, 1e-6);
  EXPECT_NEAR(of_sums(all.at(sites[0].isolated)).greatest, first.greatest, 1e-6);
  EXPECT_NEAR(of_sums(all.at(sites[0].cumulative)).relative, first.relative, 1e-6);
  // The second site is dense in both: alone it makes no error, but what it is given has one.
  EXPECT_EQ(of_sums(all.at(sites[1].isolated)).relative, 0);
  const Errors second = errors(causal.at("y"), dense.at("y"));
  ASSERT_GT(second.relative, 0.001);
  EXPECT_NEAR(of_sums(all.at(sites[1].cumulative)).relative, second.relative, 1e-6);
  EXPECT_NEAR(of_sums(all.at(joint.policies[0].outputs.at(0))).relative, second.relative, 1e-6);

  double mass = 0;
  const auto kept = causal.at("lse").read<float>(), whole = dense.at("lse").read<float>();
  for (std::size_t i = 0; i < kept.size(); ++i) mass += std::exp(kept[i] - whole[i]) / static_cast<double>(kept.size());
  EXPECT_NEAR(all.at(sites[0].mass).read<float>()[0], mass, 1e-6);
  EXPECT_NEAR(all.at(sites[0].density).read<float>()[0], (length + 1) / (2.0 * length), 1e-6);
}

TEST(CompareGraphs, needs_memory_that_does_not_grow_with_depth) {
  const auto arena = [](int layers) {
    const auto model = [&](SmallGraph& e) {
      ValueId x = e.input("x", {1, 2, 64, 32});
      for (int i = 0; i < layers; ++i)
        x = e.named(concat("/blocks.", i, "/Softmax"), "tessera.attention::dense", {x, x, x});
      e.output("y", x);
    };
    SmallGraph reference, a, b;
    model(reference);
    model(a);
    model(b);
    const std::vector<Graph> policies{a.g, b.g};
    return make_plan(compare_graphs(reference.g, policies, builtin_registry()).graph, {.mode = Plan::Mode::ordered})
        .arena_bytes;
  };
  EXPECT_LT(arena(24), arena(6) * 11 / 10);
}

}  // namespace
}  // namespace tessera
