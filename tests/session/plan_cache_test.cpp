// Plans are shared by runs, so what happens to one of them must not reach the others.
#include "runtime/session/plan_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "runtime/op/parallel.h"
#include "runtime/plan/plan.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

Plan small_plan() {
  SmallGraph e;
  e.output("y", e.node("Relu", {e.input("x", {2})}));
  return make_plan(e.g);
}

TEST(PlanCache, makes_the_plan_of_a_run_that_is_stopped_meanwhile) {
  PlanCache plans(4, std::make_shared<ArenaPool>());
  const LoopScope stopped({.serial = true, .stopped = [](const void*) { return true; }});
  EXPECT_THROW(run_parallel(8, 1, [](std::int64_t, std::int64_t) {}), Error);
  EXPECT_NO_THROW(plans.get({}, [] {
    run_parallel(8, 1, [](std::int64_t, std::int64_t) {});
    return small_plan();
  }));
}

TEST(PlanCache, gives_each_that_waits_an_error_of_its_own) {
  PlanCache plans(4, std::make_shared<ArenaPool>());
  std::latch waiting(2);
  const auto ask = [&](std::string who) {
    try {
      waiting.count_down();
      plans.get({}, [&]() -> Plan {
        waiting.wait();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the other is inside of `get` by then
        throw Error(Code::bad_input, "refused");
      });
    } catch (Error& e) {
      for (int i = 0; i < 100; ++i) e.in(who);
      EXPECT_THAT(std::string(e.what()), testing::Not(testing::HasSubstr(who == "a" ? "in b" : "in a")));
    }
  };
  std::jthread a(ask, "a"), b(ask, "b");
}

}  // namespace
}  // namespace tessera
