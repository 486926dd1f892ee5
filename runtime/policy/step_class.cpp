#include <algorithm>

#include "runtime/policy/apply.h"

namespace tessera {

StepClass step_class(const Policy& policy, const StepPosition& position) {
  StepClass c;
  const auto active = [&](const RuleMatch& m) {
    return m.steps.empty() || std::any_of(m.steps.begin(), m.steps.end(),
                                          [&](const StepRange& r) { return r.holds(position.step, position.steps); });
  };
  for (const auto& rule : policy.rules) {
    c.active.push_back(active(rule.match));
    for (const auto& p : rule.with)
      if (p.schedule) c.scheduled.push_back(p.schedule->at(position.train_step));
  }
  for (const auto& rule : policy.linear) c.active.push_back(active(rule.match));
  return c;
}

}  // namespace tessera
