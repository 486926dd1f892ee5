#pragma once
// Which rule wins which heads of which site. Private to policy/.
#include "runtime/policy/apply.h"

namespace tessera {

// Why a rule's selectors do not hold at a site, steps and when left out of account; empty: they hold.
std::string structural_mismatch(const RuleMatch& m, const AttentionSite& site);
std::string when_mismatch(const RuleMatch& m, const AttentionSite& site);
bool takes_head(const RuleMatch& m, std::int64_t head);

// Per site and head, the index of the rule that wins, -1 for the policy's default; and what became of every rule at
// every site. Errors: policy, for rules without effect.
struct Winners {
  std::vector<std::vector<int>> of;           // [site][head]
  std::vector<std::vector<RuleTrail>> rules;  // [site][rule]
};
Winners select_rules(const Policy& policy, const std::vector<AttentionSite>& sites, const StepClass& at);

}  // namespace tessera
