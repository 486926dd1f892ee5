#include "runtime/exec/statistics.h"

#include <algorithm>

namespace tessera {
namespace {

std::vector<StepTotal> sorted(std::vector<StepTotal> totals) {
  std::stable_sort(totals.begin(), totals.end(),
                   [](const StepTotal& a, const StepTotal& b) { return a.seconds > b.seconds; });
  return totals;
}

}  // namespace

void Statistics::step(const StepEvent& event) {
  const std::lock_guard lock(mutex_);
  auto node = nodes_.find(event.node);
  if (node == nodes_.end()) node = nodes_.emplace(event.node, std::vector<StepTotal>()).first;
  auto& operators = node->second;
  auto total = std::find_if(operators.begin(), operators.end(), [&](const StepTotal& t) { return t.op == event.op; });
  if (total == operators.end())
    total = operators.insert(total, {.name = std::string(event.node), .op = std::string(event.op)});
  ++total->count;
  total->seconds += static_cast<double>(event.end_ns - event.begin_ns) * 1e-9;
  total->flops += event.flops;
}

void Statistics::forget() {
  const std::lock_guard lock(mutex_);
  nodes_.clear();
}

std::vector<StepTotal> Statistics::by_node() const {
  std::vector<StepTotal> totals;
  for (const auto& [name, operators] : nodes_) totals.insert(totals.end(), operators.begin(), operators.end());
  return sorted(std::move(totals));
}

std::vector<StepTotal> Statistics::by_operator() const {
  std::map<std::string, StepTotal> operators;
  for (const auto& node : by_node()) {
    StepTotal& total = operators[node.op];
    total.name = node.op;
    total.count += node.count;
    total.seconds += node.seconds;
    total.flops += node.flops;
  }
  std::vector<StepTotal> totals;
  for (const auto& [name, total] : operators) totals.push_back(total);
  return sorted(std::move(totals));
}

}  // namespace tessera
