// The executor against the plainest interpreter, and its corner cases.
#include "runtime/exec/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "tests/support/interpret.h"
#include "tests/support/random_graph.h"

namespace tessera {
namespace {

using testing::HasSubstr;

void expect_same(const std::vector<Tensor>& got, const std::vector<Tensor>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same_bits(got[i], expected[i])) << "output " << i;
}

// Runs the plan `times` times on one frame; poisons memory between by running on other inputs first.
void check_plan(const Graph& g, const PlanOptions& options, const std::vector<Tensor>& inputs,
                const std::vector<Tensor>& other, int threads) {
  const Workers workers(threads);
  const auto frame = make_frame(std::make_shared<const Plan>(make_plan(g, options)));
  const auto expected = interpret(g, inputs);
  execute(*frame, other, workers);
  expect_same(execute(*frame, inputs, workers), expected);
  expect_same(execute(*frame, inputs, workers), expected);
}

TEST(Executor, gives_the_interpreters_bits_on_random_graphs) {
  for (unsigned seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE(seed);
    // Small vectors run as queues of tiny steps, long ones as tasks of their own.
    RandomGraph random(seed, {.nodes = 50, .length = seed % 2 ? 64 : 1 << 14});
    const auto inputs = random.inputs(), other = random.inputs();
    const Graph& g = random.graph();
    check_plan(g, {}, inputs, other, 1);
    check_plan(g, {.one_thread = true}, inputs, other, 1);
    for (const int threads : {1, 2, 8}) {
      check_plan(g, {.mode = Plan::Mode::parallel}, inputs, other, threads);
      check_plan(g, {.mode = Plan::Mode::ordered}, inputs, other, threads);
    }
  }
}

std::vector<Tensor> run(const Graph& g, std::vector<Tensor> inputs, const ExecuteOptions& options = {},
                        const PlanOptions& plan_options = {}, int threads = 2) {
  const auto frame = make_frame(std::make_shared<const Plan>(make_plan(g, plan_options)));
  return execute(*frame, inputs, Workers(threads), options);
}

TEST(Executor, hands_out_outputs_that_share_nothing) {
  SmallGraph e;
  const ValueId x = e.input("x", {2, 2}), c = e.constant("{7, 8}");
  const ValueId n = e.node("Neg", {x}), flat = e.node("Reshape", {n, e.build.ints({-1})});
  e.output("input", x), e.output("constant", c), e.output("n", n), e.output("n again", n), e.output("view", flat);
  e.output("view of input", e.node("Reshape", {x, e.build.ints({-1})}));
  const Tensor in = tensor_from_text("{{1, 2}, {3, 4}}");
  const auto out = run(e.g, {in});
  expect_same(out, interpret(e.g, {&in, 1}));
  std::set<const void*> addresses{in.raw(), e.g.at(c).constant.raw()};
  for (const auto& t : out) EXPECT_TRUE(addresses.insert(t.raw()).second);
}

TEST(Executor, takes_empty_tensors_and_graphs_without_steps) {
  SmallGraph e;
  const ValueId x = e.input("x", {0, 3});
  e.output("y", e.node("Relu", {e.node("Neg", {x})}));
  e.output("x", x);
  const auto out = run(e.g, {Tensor(DType::f32, {0, 3})});
  EXPECT_EQ(out[0].shape(), (Shape{0, 3}));
  EXPECT_EQ(out[1].shape(), (Shape{0, 3}));
}

TEST(Executor, finds_shapes_during_the_run) {
  SmallGraph e;
  const ValueId x = e.input("x", {6});
  const ValueId where = e.node("NonZero", {x});                         // [1, ?]
  const ValueId flat = e.node("Reshape", {where, e.build.ints({-1})});  // a view of it
  const ValueId found = e.node("Gather", {x, flat});
  e.output("found", found);
  e.output("doubled", e.node("Add", {found, found}));
  e.output("where", flat);
  for (const auto* text : {"{0, 3, 0, 5, 0, 7}", "{0, 0, 0, 0, 0, 0}", "{1, 2, 3, 4, 5, 6}"}) {
    const Tensor in = tensor_from_text(text);
    for (const auto mode : {Plan::Mode::inline_steps, Plan::Mode::parallel})
      expect_same(run(e.g, {in}, {}, {.mode = mode}), interpret(e.g, {&in, 1}));
  }
}

// A graph of heavy independent steps; the one in the middle fails while it runs.
Graph failing() {
  SmallGraph e;
  const ValueId x = e.input("x", {1 << 16}), bad = e.input("bad", {1}, DType::i64);
  for (int i = 0; i < 20; ++i) {
    e.output(concat("y", i), e.node("Relu", {e.node("Neg", {x})}));
    if (i == 10) e.output("fails", e.named("the culprit", "Gather", {x, bad}));
  }
  return e.g;
}

TEST(Executor, names_the_node_that_failed_and_can_go_on) {
  const Graph g = failing();
  const Tensor x = Tensor::zeros(DType::f32, {1 << 16});
  for (const auto mode : {Plan::Mode::inline_steps, Plan::Mode::ordered, Plan::Mode::parallel})
    for (const int threads : {1, 2, 8}) {
      const Workers workers(threads);
      const auto frame = make_frame(std::make_shared<const Plan>(make_plan(g, {.mode = mode})));
      for (int times = 0; times < 3; ++times) {
        const Tensor wrong[] = {x, Tensor::vector({1 << 20})}, right[] = {x, Tensor::vector({3})};
        try {
          execute(*frame, wrong, workers);
          ADD_FAILURE() << "no error";
        } catch (const Error& e) {
          EXPECT_EQ(e.code(), Code::bad_input);
          EXPECT_THAT(e.what(), HasSubstr("node 'the culprit' (Gather)"));
        }
        EXPECT_EQ(execute(*frame, right, workers).size(), 21u);
      }
    }
}

Graph long_chain(int n) {
  SmallGraph e;
  ValueId x = e.input("x", {512, 512});
  for (int i = 0; i < n; ++i) x = e.node("Transpose", {e.node("Relu", {x})});
  e.output("y", x);
  return e.g;
}

TEST(Executor, stops_soon_after_it_is_cancelled) {
  const Tensor x = Tensor::zeros(DType::f32, {512, 512});
  const Graph g = long_chain(20000);
  const Workers workers(2);
  for (const auto mode : {Plan::Mode::inline_steps, Plan::Mode::ordered, Plan::Mode::parallel}) {
    const auto frame = make_frame(std::make_shared<const Plan>(make_plan(g, {.mode = mode})));
    Cancellation cancellation;
    std::chrono::steady_clock::time_point asked;
    std::jthread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      asked = std::chrono::steady_clock::now();
      cancellation.cancel();
    });
    try {
      execute(*frame, {&x, 1}, workers, {.cancellation = &cancellation});
      ADD_FAILURE() << "the run came to its end";
    } catch (const Error& e) {
      other.join();
      EXPECT_EQ(e.code(), Code::run_time);
      EXPECT_THAT(e.what(), HasSubstr("cancelled"));
      EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(2));
    }
  }
}

TEST(Executor, keeps_its_deadline) {
  const Tensor x = Tensor::zeros(DType::f32, {512, 512});
  const Graph g = long_chain(20000);
  for (const auto mode : {Plan::Mode::inline_steps, Plan::Mode::parallel}) {
    const auto frame = make_frame(std::make_shared<const Plan>(make_plan(g, {.mode = mode})));
    const auto begin = std::chrono::steady_clock::now();
    try {
      execute(*frame, {&x, 1}, Workers(2), {.deadline = begin + std::chrono::milliseconds(30)});
      ADD_FAILURE() << "the run came to its end";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::run_time);
      EXPECT_THAT(e.what(), HasSubstr("deadline"));
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  }
}

// Which threads ran steps. Each step waits until `wanted` threads have come: they can meet only if steps overlap.
class Meeting final : public Observer {
 public:
  explicit Meeting(std::size_t wanted) : wanted_(wanted) {}
  void step(const StepEvent& event) override {
    std::unique_lock lock(mutex_);
    threads.insert(std::this_thread::get_id());
    workers.insert(event.worker);
    ++steps;
    come_.notify_all();
    come_.wait_for(lock, std::chrono::seconds(20), [&] { return threads.size() >= wanted_; });
  }
  std::set<std::thread::id> threads;
  std::set<int> workers;
  int steps = 0;

 private:
  const std::size_t wanted_;
  std::mutex mutex_;
  std::condition_variable come_;
};

// `n` chains of two heavy steps.
Graph side_by_side(int n) {
  SmallGraph e;
  const ValueId x = e.input("x", {1 << 14});
  for (int i = 0; i < n; ++i) e.output(concat("y", i), e.node("Exp", {e.node("Exp", {x})}));
  return e.g;
}

TEST(Executor, runs_on_the_calling_thread_when_it_has_one) {
  Meeting one(1);
  run(side_by_side(64), {Tensor::zeros(DType::f32, {1 << 14})}, {.observer = &one}, {}, 1);
  EXPECT_EQ(one.steps, 128);
  EXPECT_EQ(one.threads, std::set{std::this_thread::get_id()});
}

TEST(Executor, overlaps_independent_steps) {
  const Tensor in = Tensor::zeros(DType::f32, {1 << 14});
  for (const int threads : {2, 4, 8}) {
    Meeting meeting(static_cast<std::size_t>(threads));
    run(side_by_side(threads), {in}, {.observer = &meeting}, {}, threads);
    EXPECT_EQ(meeting.steps, 2 * threads);
    EXPECT_EQ(meeting.threads.size(), static_cast<std::size_t>(threads));
    EXPECT_LT(*meeting.workers.rbegin(), threads);
  }
}

}  // namespace
}  // namespace tessera
