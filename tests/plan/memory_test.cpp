// Whatever order the edges of a plan allow, no step finds its inputs overwritten.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "runtime/graph/build.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/segments.h"
#include "tests/support/random_graph.h"

namespace tessera {
namespace {

// Runs a plan's steps in a random overlapping order. A step writes all its outputs the moment it begins and reads its
// inputs until it ends, the worst case for reuse.
class Simulation {
 public:
  Simulation(const Plan& plan, unsigned seed) : plan_(plan), random_(seed), waits_(plan.steps.size()) {
    for (const Slot& s : plan.slots)
      if (s.kind == Slot::Kind::arena) {
        EXPECT_LE(s.offset + s.bytes(), plan.arena_bytes);
        holder_[s.offset] = -1;
        holder_[s.offset + s.bytes()] = -1;
      }
    for (std::size_t s = 0; s < plan.steps.size(); ++s) waits_[s] = plan.steps[s].waits_for;
  }

  void run() {
    std::vector<int> ready, running;
    for (std::size_t s = 0; s < waits_.size(); ++s)
      if (waits_[s] == 0) ready.push_back(static_cast<int>(s));
    std::size_t finished = 0;
    while (!ready.empty() || !running.empty()) {
      const bool start = running.empty() || (!ready.empty() && random_() % 2);
      const int s = take(start ? ready : running);
      if (start) {
        begin(s);
        running.push_back(s);
      } else {
        end(s);
        ++finished;
        for (const int n : plan_.steps[static_cast<std::size_t>(s)].next)
          if (--waits_[static_cast<std::size_t>(n)] == 0) ready.push_back(n);
      }
    }
    EXPECT_EQ(finished, plan_.steps.size());
  }

 private:
  int take(std::vector<int>& from) {
    std::swap(from[random_() % from.size()], from.back());
    const int s = from.back();
    from.pop_back();
    return s;
  }
  const Slot& slot(int s) const { return plan_.slots[static_cast<std::size_t>(s)]; }
  int base(int s) const { return slot(s).kind == Slot::Kind::view ? slot(s).base : s; }
  template <class F>
  void each_piece(int s, F f) {
    const auto stop = holder_.find(slot(s).offset + slot(s).bytes());
    for (auto at = holder_.find(slot(s).offset); at != stop; ++at) f(at->second);
  }
  void expect_held(int s, int by_or, int step) {
    if (slot(s).kind != Slot::Kind::arena || slot(s).bytes() == 0) return;
    each_piece(s, [&](int holder) {
      ASSERT_TRUE(holder == s || holder == by_or) << "step " << step << " reads value " << s << " and finds " << holder;
    });
  }
  void begin(int s) {
    const Step& step = plan_.steps[static_cast<std::size_t>(s)];
    for (const int in : step.in)
      if (in >= 0) expect_held(base(in), -2, s);
    for (const int out : step.out)
      if (out >= 0 && slot(out).kind == Slot::Kind::arena && slot(out).bytes() > 0)
        each_piece(out, [&](int& holder) { holder = out; });
  }
  // The output that may stand over input `in`.
  int over(const Step& step, int in) const {
    for (const auto& pair : plan_.graph.at(step.node).op->in_place)
      if (const int out = step.out[static_cast<std::size_t>(pair.out)];
          out >= 0 && slot(out).kind == Slot::Kind::arena && slot(base(in)).kind == Slot::Kind::arena &&
          slot(out).offset == slot(base(in)).offset && slot(out).shape == slot(in).shape)
        return out;
    return -2;
  }
  void end(int s) {
    const Step& step = plan_.steps[static_cast<std::size_t>(s)];
    for (const int in : step.in)
      if (in >= 0) expect_held(base(in), over(step, in), s);
    for (const int out : step.out)
      if (out >= 0) expect_held(out, -2, s);
  }

  const Plan& plan_;
  std::mt19937 random_;
  std::vector<int> waits_;
  std::map<std::size_t, int> holder_;  // by the begin of each piece of the arena: the value there
};

void check_many_orders(const Plan& plan, unsigned seed) {
  for (unsigned order = 0; order < 20; ++order) Simulation(plan, seed * 100 + order).run();
}

TEST(Memory, reuse_is_safe_in_every_order_of_random_graphs) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    check_many_orders(make_plan(RandomGraph(seed, {.nodes = 60}).graph(), {.mode = Plan::Mode::parallel}), seed);
  }
}

TEST(Memory, edges_added_for_large_blocks_keep_reuse_safe) {
  int edges = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Graph g = RandomGraph(seed, {.nodes = 60, .length = 1 << 18}).graph();
    const Plan plan = make_plan(g, {.mode = Plan::Mode::parallel});
    check_many_orders(plan, seed);
    std::size_t from_data = 0, all = 0;
    for (const Step& s : plan.steps) all += static_cast<std::size_t>(s.waits_for);
    for (const Step& s : make_plan(std::move(g), {.one_thread = true, .mode = Plan::Mode::parallel}).steps)
      from_data += static_cast<std::size_t>(s.waits_for);
    edges += static_cast<int>(all - from_data);
  }
  EXPECT_GT(edges, 0);  // or this test tests nothing
}

// A chain of n Softmax (no in-place) of `bytes` each, from x.
ValueId chain(SmallGraph& e, ValueId x, int n) {
  for (int i = 0; i < n; ++i) x = e.node("Transpose", {e.node("Relu", {x})});
  return x;
}

TEST(Memory, a_chain_needs_two_blocks) {
  SmallGraph e;
  e.output("y", e.node("Relu", {chain(e, e.input("x", {256, 256}), 50)}));
  EXPECT_EQ(make_plan(e.g).arena_bytes, 2u * 256 * 256 * 4);
}

TEST(Memory, independent_heavy_chains_stay_independent) {
  SmallGraph e;
  const ValueId x = e.input("x", {512, 512});
  e.output("a", e.node("Relu", {chain(e, x, 8)}));
  e.output("b", e.node("Relu", {chain(e, x, 8)}));
  const Plan plan = make_plan(e.g);
  EXPECT_EQ(plan.mode, Plan::Mode::parallel);
  EXPECT_LE(plan.arena_bytes, 4u * 512 * 512 * 4);
  // The longest path is as long as one chain: both can run side by side.
  std::vector<double> begin(plan.steps.size());
  double longest = 0, total = 0;
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const double end = begin[s] + plan.steps[s].cost;
    for (const int n : plan.steps[s].next)
      begin[static_cast<std::size_t>(n)] = std::max(begin[static_cast<std::size_t>(n)], end);
    longest = std::max(longest, end);
    total += plan.steps[s].cost;
  }
  EXPECT_LE(longest, 0.51 * total);
}

// More values wait, and are freed, than a search for a free segment looks at; what lies behind them all is still found.
TEST(Memory, stays_within_the_arena_of_a_very_wide_graph) {
  SmallGraph e;
  const ValueId x = e.input("x", {16}), z = e.input("z", {1});
  const auto filled = [&](ValueId value, std::int64_t n) { return e.node("Expand", {value, e.build.ints({n})}); };
  std::vector<ValueId> waiting;
  for (int i = 0; i < 600; ++i) waiting.push_back(e.node("Mul", {x, e.build.scalar_like(x, 1 + 0.01 * i)}));
  const ValueId large = e.node("ReduceSum", {filled(z, 1 << 24)});
  for (std::size_t i = 0; i < waiting.size(); ++i) e.output("y" + std::to_string(i), e.node("Exp", {waiting[i]}));
  e.output("sum", large);  // so it does not stand in the arena, behind what it sums
  e.output("z_of_small", e.node("ReduceSum", {filled(large, 1 << 13)}));
  check_many_orders(make_plan(e.g, {.mode = Plan::Mode::parallel}), 1);
}

TEST(Memory, writes_in_place_only_where_nobody_else_reads) {
  SmallGraph e;
  const ValueId x = e.input("x", {64});
  const ValueId a = e.node("Neg", {x});
  const ValueId b = e.node("Relu", {a});    // a is read again: not in place
  const ValueId c = e.node("Add", {a, b});  // over a or b
  e.output("y", e.node("Neg", {c}));        // an output has memory of its own
  const Plan plan = make_plan(e.g);
  const auto at = [&](ValueId v) { return plan.slots[index(v)]; };
  EXPECT_NE(at(a).offset, at(b).offset);
  EXPECT_TRUE(at(c).offset == at(a).offset || at(c).offset == at(b).offset);
  EXPECT_EQ(plan.arena_bytes, 2u * 64 * 4);
  EXPECT_EQ(plan.slots[index(plan.graph.outputs[0].value)].kind, Slot::Kind::output);
}

// Seconds that a plan of a random graph takes.
double planning(int nodes) {
  Graph g = RandomGraph(1, {.nodes = nodes}).graph();
  const auto begin = std::chrono::steady_clock::now();
  const Plan plan = make_plan(std::move(g), {.mode = Plan::Mode::parallel});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_GT(plan.steps.size(), static_cast<std::size_t>(nodes / 2));
  return took.count();
}

TEST(Memory, planning_takes_time_in_proportion_to_the_steps) {
  // Eight times the nodes take eight times as long, or 64 times if each step looked at every other.
  const double few = planning(1250), many = planning(10000);
  EXPECT_LT(many, 40 * few);
  RecordProperty("growth", std::to_string(many / few));
}

TEST(Segments, refuse_more_than_can_be_addressed) {
  Segments segments;
  const auto never = [](const Segments::Users&) { return false; };
  EXPECT_THROW(for (int i = 0; i < 16; ++i) segments.grow(std::size_t{1} << 61, never), Error);
}

}  // namespace
}  // namespace tessera
