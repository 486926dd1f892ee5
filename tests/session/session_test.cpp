#include "runtime/session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "runtime/plan/plan.h"
#include "tests/support/interpret.h"
#include "tests/support/random_graph.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

using testing::HasSubstr;

// y = relu(x + w), x: [n, 2] f32
Graph small_model() {
  Graph g;
  GraphBuilder b(g, builtin_registry());
  const ValueId x = b.input("x", DType::f32, SymbolicShape{{-1, "n"}, {2, ""}});
  b.output("y", b.node("Relu", {b.node("Add", {x, b.constant(tensor_from_text("{-1, 1}"), "w")})}));
  return g;
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Session, runs_a_model) {
  Session session(small_model(), {});
  const auto out = session.run({{"x", tensor_from_text("{{0, 1}, {3, 4}}")}});
  EXPECT_EQ(to_text(out.at("y")), "f32{{0, 2}, {2, 5}}");
}

TEST(Session, says_what_is_wrong_with_inputs) {
  Session session(small_model(), {});
  const Tensor x = tensor_from_text("{{0, 1}}");
  EXPECT_THAT(message_of([&] { session.run({{"x", x}, {"xs", x}}); }), HasSubstr("no input 'xs'; did you mean 'x'"));
  EXPECT_THAT(message_of([&] { session.run({}); }), HasSubstr("input 'x' is not given\n  it is f32[nx2]"));
  EXPECT_THAT(message_of([&] {
                session.run({{"x", tensor_from_text("i64{{1, 2}}")}});
              }),
              HasSubstr("input 'x' must be f32, got i64"));
  EXPECT_THAT(message_of([&] { session.run({{"x", tensor_from_text("{{1, 2, 3}}")}}); }), HasSubstr("input 'x'"));
}

TEST(Session, keeps_as_many_plans_as_it_may) {
  Session session(small_model(), {.plan_limit = 2});
  std::vector<Tensor> inputs;
  for (std::int64_t n = 1; n <= 4; ++n) inputs.push_back(Tensor::zeros(DType::f32, {n, 2}));
  const auto plan = [&](std::size_t i) { return session.plan({{"x", inputs[i]}}); };
  const auto first = plan(0), second = plan(1);
  EXPECT_EQ(plan(0), first);
  plan(2);  // the second goes: the first was used later
  EXPECT_EQ(session.plans(), 2u);
  EXPECT_EQ(plan(0), first);
  EXPECT_NE(plan(1), second);
}

TEST(Session, refuses_runs_beyond_the_memory_limit) {
  Session session(small_model(), {.memory_limit = 1000});
  session.run({{"x", Tensor::zeros(DType::f32, {10, 2})}});
  const Tensor large = Tensor::zeros(DType::f32, {1000, 2});
  const std::size_t needed = session.arena_bytes({{"x", large}}) + large.bytes();
  EXPECT_THAT(message_of([&] {
                session.run({{"x", large}});
              }),
              HasSubstr(concat("needs ", needed, " bytes of memory, the limit is 1000")));
}

TEST(Session, refuses_values_that_no_memory_holds) {
  const auto complaint = [](std::string_view op, const char* sizes) {
    return message_of([&] {
      SmallGraph e;
      const ValueId x = e.input("x", {1}, DType::f64);
      e.output("y", e.node("ReduceMax", {e.node(op, {e.node("Neg", {x}), e.constant(sizes)})}));
      Session(e.g, {.threads = 1}).run({{"x", Tensor::zeros(DType::f64, {1})}});
    });
  };
  EXPECT_THAT(complaint("Expand", "i64{2305843009213693952}"), HasSubstr("too many elements"));
  EXPECT_THAT(complaint("Tile", "i64{4611686018427387904}"), HasSubstr("too many elements"));
  EXPECT_THAT(complaint("Tile", "i64{70368744177664}"), HasSubstr("out of memory"));
}

TEST(Session, reuses_the_memory_of_large_outputs_that_were_let_go) {
  constexpr std::int64_t rows = 1 << 18;  // 2 MiB
  auto session = std::make_unique<Session>(small_model(), SessionOptions{});
  const auto run = [&](float x) {
    Tensor t(DType::f32, {rows, 2});
    for (float& e : t.write<float>()) e = x;
    return session->run({{"x", std::move(t)}}).at("y");
  };
  Tensor first = run(1);
  const void* memory = first.raw();
  const Tensor second = run(2);  // while the caller holds the first
  EXPECT_NE(second.raw(), memory);
  EXPECT_EQ(first.read<float>()[1], 2);
  first = {};
  const Tensor third = run(3);
  EXPECT_EQ(third.raw(), memory);
  session.reset();  // outputs outlive it
  EXPECT_EQ(second.read<float>()[1], 3);
  EXPECT_EQ(third.read<float>()[2 * rows - 1], 4);
}

TEST(Session, runs_several_times_at_once) {
  RandomGraph random(3, {.nodes = 60, .length = 1 << 14});
  const Graph& g = random.graph();
  Session session(g, {.threads = 4});
  std::vector<std::map<std::string, Tensor>> inputs(4), expected(4);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto tensors = random.inputs();
    for (std::size_t t = 0; t < tensors.size(); ++t) inputs[i][g.at(g.inputs[t].value).name] = tensors[t];
    expected[i] = interpret(g, inputs[i]);
  }
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    threads.emplace_back([&, i] {
      for (int times = 0; times < 20; ++times)
        for (const auto& [name, tensor] : session.run(inputs[i]))
          EXPECT_TRUE(same_bits(tensor, expected[i].at(name))) << name;
    });
  threads.clear();
  EXPECT_EQ(session.plans(), 1u);
}

TEST(Session, makes_one_plan_for_concurrent_first_runs) {
  Session session(small_model(), {.threads = 2});
  const Tensor x = Tensor::zeros(DType::f32, {3, 2});
  std::mutex mutex;
  std::set<const Plan*> plans;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        const auto plan = session.plan({{"x", x}});
        const std::lock_guard lock(mutex);
        plans.insert(plan.get());
      });
  }
  EXPECT_EQ(plans.size(), 1u);
}

TEST(Session, tries_again_after_a_plan_that_failed) {
  Session session(small_model(), {});
  for (int times = 0; times < 2; ++times)
    EXPECT_THAT(message_of([&] { session.run({{"x", Tensor::zeros(DType::f32, {3})}}); }), HasSubstr("input 'x'"));
  EXPECT_EQ(session.plans(), 0u);
}

// y = cond ? x + w : x[nonzero(x)], the branches captured as graphs of their own.
Graph with_branches() {
  const auto branch = [](bool then) {
    SmallGraph e;
    const ValueId x = e.build.input("x", DType::f32, std::nullopt);
    e.output("y", then ? e.node("Add", {x, e.constant("{10}")})
                       : e.node("Gather", {x, e.node("Reshape", {e.node("NonZero", {x}), e.build.ints({-1})})}));
    return std::make_shared<const GraphBody>(e.g);
  };
  SmallGraph e;
  const ValueId c = e.input("c", {}, DType::boolean);
  const ValueId x = e.build.input("x", DType::f32, SymbolicShape{{-1, "n"}});
  const std::shared_ptr<const Subgraph> then_branch = branch(true), else_branch = branch(false);
  e.output("y", e.node("Neg", {e.node("If", {c, x}, {{"then_branch", then_branch}, {"else_branch", else_branch}})}));
  return e.g;
}

TEST(Session, runs_the_branch_that_the_condition_picks) {
  for (const int threads : {1, 2}) {
    Session session(with_branches(), {.threads = threads});
    const auto y = [&](const char* c, const char* x) {
      return to_text(session.run({{"c", tensor_from_text(c)}, {"x", tensor_from_text(x)}}).at("y"));
    };
    EXPECT_EQ(y("bool true", "{0, 3}"), "f32{-10, -13}");
    EXPECT_EQ(y("bool false", "{0, 3}"), "f32{-3}");
    EXPECT_EQ(y("bool false", "{0, 0}"), "f32[0]{}");
    EXPECT_EQ(y("bool true", "{1, 2, 3}"), "f32{-11, -12, -13}");
  }
}

// The observer of a run sees the steps inside branches too.
TEST(Session, shows_an_observer_what_branches_do) {
  struct Ops final : Observer {
    void step(const StepEvent& event) override {
      const std::lock_guard lock(mutex);
      ops.emplace_back(event.op);
      begins.push_back(event.begin_ns);
      ends.push_back(event.end_ns);
    }
    std::mutex mutex;
    std::vector<std::string> ops;
    std::vector<std::int64_t> begins, ends;
  } seen;
  Session session(with_branches(), {.threads = 1});
  session.run({{"c", tensor_from_text("bool true")}, {"x", tensor_from_text("{0, 3}")}}, {.observer = &seen});
  EXPECT_THAT(seen.ops, testing::ElementsAre("Add", "If", "Neg"));
  EXPECT_LE(seen.begins[1], seen.begins[0]);  // a branch runs inside of its If
  EXPECT_LE(seen.ends[0], seen.ends[1]);
}

}  // namespace
}  // namespace tessera
