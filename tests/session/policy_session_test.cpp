// Sessions under a policy: classes of steps, their plans, locks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "runtime/plan/plan.h"
#include "runtime/policy/lock.h"
#include "runtime/session/open_policy.h"
#include "runtime/session/session.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

using testing::HasSubstr;

// x -> self-attention -> self-attention, 4 tokens, with a product between.
Graph model(const char* weight = "{{1, 0.3}, {0.7, 1}}") {
  SmallGraph m;
  ValueId x = m.input("x", {1, 2, 4, 2});
  x = m.named("/blocks.0/attn/Softmax", "tessera.attention::dense", {x, x, x});
  x = m.named("/blocks.0/ffn/MatMul", "MatMul", {x, m.weight("w", weight)});
  m.output("y", m.named("/blocks.1/attn/Softmax", "tessera.attention::dense", {x, x, x}));
  return m.g;
}

Session session(const std::string& rules, SessionOptions options = {}) {
  return Session(model(), std::make_shared<const Policy>(parse_policy("version: 1\n" + rules, "p.yaml")), options);
}

NamedTensors inputs() {
  return {{"x", tensor_from_text("{{{{1, 0.3}, {0.2, 3}, {-1, 0}, {2, 1}}, {{0, 1}, {1, 7}, {0.1, 0.2}, {3, 3}}}}")}};
}

std::string failure(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::policy) << e.what();
    return e.what();
  }
  return "no error";
}

TEST(PolicySession, makes_one_plan_per_class_of_steps) {
  Session s = session(
      "rules:\n"
      "  - {match: {layers: 0}, use: dense}\n"
      "  - {match: {layers: 0, steps: 0%-25%}, use: dense, precision: bf16}\n");
  const auto rounded = [&](int step, int steps) {
    const auto plan = s.plan(inputs(), {.step = step, .steps = steps});
    return std::any_of(plan->graph.values.begin(), plan->graph.values.end(),
                       [](const Value& v) { return v.dtype == DType::bf16; });
  };
  EXPECT_TRUE(rounded(0, 8));
  EXPECT_TRUE(rounded(1, 8));
  EXPECT_EQ(s.plans(), 1u) << "steps that differ in nothing share a plan";
  EXPECT_FALSE(rounded(2, 8));
  EXPECT_FALSE(rounded(7, 8));
  EXPECT_EQ(s.plans(), 2u);
  EXPECT_TRUE(rounded(1, 50));
  EXPECT_EQ(s.plans(), 2u);
  const auto first = s.run(inputs(), {.step = 0, .steps = 8}), later = s.run(inputs(), {.step = 5, .steps = 8});
  EXPECT_FALSE(same_bits(first.at("y"), later.at("y")));
  EXPECT_TRUE(same_bits(first.at("y"), s.run(inputs(), {.step = 1, .steps = 8}).at("y")));
  EXPECT_TRUE(same_bits(later.at("y"), Session(model(), {}).run(inputs()).at("y"))) << "dense is dense";
}

TEST(PolicySession, refuses_steps_outside_of_the_loop) {
  Session s = session("");
  for (const RunOptions& at : {RunOptions{.step = 30}, {.step = 0, .steps = 0}, {.step = -1, .steps = 4}})
    EXPECT_THAT([&] { s.run(inputs(), at); }, testing::ThrowsMessage<Error>(HasSubstr("is none of a loop of")))
        << at.step;
}

TEST(PolicySession, classes_share_weights) {
  Session s = session("linear: [{match: {steps: 0-1}, precision: bf16}, {match: {steps: 1}, precision: f32}]\n");
  const auto weight = [&](int step) -> const void* {
    const auto plan = s.plan(inputs(), {.step = step, .steps = 4});
    for (const auto& v : plan->graph.values)
      if (v.constant && v.constant.size() == 4) return v.constant.raw();
    return nullptr;
  };
  EXPECT_EQ(weight(1), weight(2)) << "f32: the model's own";
  EXPECT_NE(weight(0), weight(1));
}

TEST(PolicySession, refuses_at_once_what_needs_no_shapes) {
  EXPECT_THAT(failure([] { session("default: vsa\n"); }), HasSubstr("p.yaml:2:10: there is no attention method 'vsa'"));
  Session s = session("rules: [{match: {layers: 7}, use: dense}]\n");
  EXPECT_THAT(failure([&] { s.run(inputs()); }), HasSubstr("p.yaml:2:26: no site that the rule can match has layer 7"));
  EXPECT_EQ(s.plans(), 0u);
}

TEST(PolicySession, opens_policies_from_files) {
  const ScratchFolder folder;
  const std::string path = folder.write("p.yaml", "version: 1\nrules: [{match: {layers: 7}, use: dense}]\n");
  Session s(model(), {.policy = path});
  EXPECT_THAT(failure([&] { s.run(inputs()); }), HasSubstr(path + ":2:26: "));
  EXPECT_THAT(failure([&] { Session(model(), {.policy = folder.at("none.yaml")}); }), HasSubstr("cannot open policy"));
  EXPECT_THAT(failure([&] { Session(model(), {.policy = folder.path().string()}); }), HasSubstr("is a folder"));
}

TEST(PolicySession, looks_for_plugins_in_the_folder_of_the_policy) {
  const ScratchFolder folder;
  const std::string path = folder.write("p.yaml", "version: 1\nplugins: [./mine.so]\n");
  folder.write("mine.so", "no library");
  try {
    Session(model(), {.policy = path});
    ADD_FAILURE() << "opened";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::plugin) << "exit 5, also when a policy names it";
    EXPECT_THAT(e.what(), HasSubstr(folder.at("mine.so")));
    EXPECT_THAT(e.what(), HasSubstr("in policy " + path + ":2:11"));
  }
}

TEST(StructuralHash, sees_everything_but_weights) {
  const std::string hash = structural_hash(model());
  EXPECT_EQ(hash.size(), 16u);
  EXPECT_EQ(hash, structural_hash(model("{{5, 5}, {5, 5}}")));
  EXPECT_NE(hash, structural_hash(model("{{1, 2, 3}, {4, 5, 6}}")));
  Graph other = model();
  other.nodes[0].attributes["is_causal"] = std::int64_t{1};
  EXPECT_NE(hash, structural_hash(other));
  other = model();
  other.nodes[2].in[1] = other.nodes[0].in[0];
  EXPECT_NE(hash, structural_hash(other));
  const auto reshaped = [](const char* shape) {
    SmallGraph s;
    s.output("y", s.node("Reshape", {s.input("x", {2, 8}), s.weight("shape", shape)}));
    return structural_hash(s.g);
  };
  EXPECT_NE(reshaped("i64{4, 4}"), reshaped("i64{2, 8}")) << "shapes are topology: other heads are another model";
  EXPECT_EQ(reshaped("i64{4, 4}"), reshaped("i64{4, 4}"));
  other = model();
  other.nodes[1].name = "renamed";
  EXPECT_NE(hash, structural_hash(other)) << "names of nodes name sites, which rules match";
}

TEST(Locks, insist_on_model_and_methods) {
  const auto locked = [&](const std::string& lock) {
    return failure([&] { session("lock: {model: " + lock + "}\n"); });
  };
  const std::string hash = structural_hash(model());
  EXPECT_EQ(locked(hash), "no error");
  EXPECT_EQ(locked(hash + ", methods: [{name: dense, version: 1}]"), "no error");
  EXPECT_THAT(locked("0123456789abcdef"),
              HasSubstr("p.yaml:2:7: locked to another model: its structure was 0123456789abcdef"));
  EXPECT_THAT(locked(hash + ", methods: [{name: dense, version: 2}]"),
              HasSubstr("locked to version 2 of method 'dense'; loaded is version 1"));
  EXPECT_THAT(
      locked(hash + ", methods: [{name: dense, version: 1, library: vsa}]"),
      HasSubstr("method 'dense' is locked to that of library 'vsa' without a version; loaded is the built-in one"));
  EXPECT_THAT(locked(hash + ", methods: [{name: vsa, version: 1}]"), HasSubstr("no attention method 'vsa'"));
}

}  // namespace
}  // namespace tessera
