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
  auto at = nodes_.find(event.node);
  if (at == nodes_.end())
    at = nodes_.emplace(event.node, StepTotal{.name = std::string(event.node), .op = std::string(event.op)}).first;
  ++at->second.count;
  at->second.seconds += static_cast<double>(event.end_ns - event.begin_ns) * 1e-9;
  at->second.flops += event.flops;
}

void Statistics::forget() {
  const std::lock_guard lock(mutex_);
  nodes_.clear();
}

std::vector<StepTotal> Statistics::by_node() const {
  std::vector<StepTotal> totals;
  for (const auto& [name, total] : nodes_) totals.push_back(total);
  return sorted(std::move(totals));
}

std::vector<StepTotal> Statistics::by_operator() const {
  std::map<std::string, StepTotal> operators;
  for (const auto& [name, node] : nodes_) {
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
