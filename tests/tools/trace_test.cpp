#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/exec/executor.h"
#include "runtime/exec/statistics.h"
#include "runtime/exec/trace.h"
#include "tests/support/small_graph.h"
#include "tools/json.h"

namespace tessera {
namespace {

void run_watched(Observer& observer) {
  SmallGraph e;
  const ValueId x = e.input("x", {2});
  const ValueId n = e.named("a \"quoted\"\n\\ name", "Neg", {x});
  e.output("y", e.named("sum", "Add", {n, e.node("Relu", {n})}));
  const auto frame = make_frame(std::make_shared<const Plan>(make_plan(e.g)));
  const Tensor in = tensor_from_text("{1, -2}");
  execute(*frame, {&in, 1}, Workers(1), {.observer = &observer});
}

TEST(Trace, is_json_that_a_viewer_reads) {
  Trace trace;
  run_watched(trace);
  const auto json = parse_json(trace.json());
  std::vector<Json> steps;
  for (const auto& e : json["traceEvents"])
    if (e["ph"] == "X") steps.push_back(e);
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0]["name"], "a \"quoted\"\n\\ name");
  EXPECT_EQ(steps[2]["name"], "sum");
  EXPECT_EQ(steps[2]["args"]["op"], "Add");
  EXPECT_EQ(steps[2]["args"]["in"], "f32[2], f32[2]");
  EXPECT_EQ(steps[2]["args"]["flops"], 2);
  EXPECT_GE(steps[2]["ts"].get<double>(), steps[0]["ts"].get<double>() + steps[0]["dur"].get<double>());
}

TEST(Trace, says_which_file_it_cannot_write) { EXPECT_THROW(Trace().write("/nowhere/trace.json"), Error); }

TEST(Statistics, adds_up_by_node_and_operator) {
  Statistics statistics;
  run_watched(statistics);
  run_watched(statistics);
  const auto nodes = statistics.by_node(), operators = statistics.by_operator();
  ASSERT_EQ(nodes.size(), 3u);
  ASSERT_EQ(operators.size(), 3u);
  for (const auto& total : operators) EXPECT_EQ(total.count, 2);
  for (std::size_t i = 1; i < nodes.size(); ++i) EXPECT_GE(nodes[i - 1].seconds, nodes[i].seconds);
}

TEST(Statistics, tells_operators_of_one_node_apart) {
  Statistics statistics;  // a policy made the node sparse in the second step
  for (const char* op : {"dense", "vsa", "vsa"}) statistics.step({.node = "attention", .op = op, .end_ns = 1000});
  std::map<std::string, std::int64_t> counts;
  for (const auto& total : statistics.by_operator()) counts[total.name] = total.count;
  EXPECT_EQ(counts, (std::map<std::string, std::int64_t>{{"dense", 1}, {"vsa", 2}}));
  EXPECT_EQ(statistics.by_node().size(), 2u);
}

}  // namespace
}  // namespace tessera
