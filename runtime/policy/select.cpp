#include "runtime/policy/select.h"

#include <algorithm>
#include <set>

#include "runtime/base/nearest.h"

namespace tessera {
namespace {

bool any_holds(const std::vector<IndexRange>& ranges, std::int64_t x) {
  return ranges.empty() ||
         std::any_of(ranges.begin(), ranges.end(), [x](const auto& r) { return x >= r.first && x <= r.last; });
}

bool any_head(const RuleMatch& m, const AttentionSite& site) {
  return m.heads.empty() ||
         std::any_of(m.heads.begin(), m.heads.end(), [&](const auto& r) { return r.first < site.q_heads; });
}

bool has_role(const RuleMatch& m, const AttentionSite& site) {
  return m.roles.empty() || std::find(m.roles.begin(), m.roles.end(), site.role) != m.roles.end();
}

// Every number a range names must be one of some site.
void check_numbers(const Policy& policy, const std::vector<IndexRange>& ranges, const std::set<std::int64_t>& there,
                   const char* what) {
  const std::vector<std::int64_t> sorted(there.begin(), there.end());
  for (const auto& r : ranges)
    for (const std::int64_t end : {r.first, r.last})
      if (!there.contains(end))
        policy_error(policy.path, r.at, "no site that the rule can match has ", what, " ", end,
                     there.empty() ? std::string() : concat("; there are ", what, "s ", numbers(sorted)));
}

class Effect {
 public:
  Effect(const Policy& policy, const std::vector<AttentionSite>& sites) : policy_(policy), sites_(sites) {}

  // Errors for a rule that can change nothing, whatever the step and the sizes.
  void check_rule(std::size_t r) const {
    const Rule& rule = policy_.rules[r];
    std::set<std::int64_t> layers, heads;
    bool matches = false;
    for (const auto& site : sites_) {
      if (has_role(rule.match, site)) layers.insert(site.layer);
      RuleMatch any_heads = rule.match;
      any_heads.heads.clear();
      if (structural_mismatch(any_heads, site).empty())
        for (std::int64_t h = 0; h < site.q_heads; ++h) heads.insert(h);
      matches = matches || structural_mismatch(rule.match, site).empty();
    }
    if (!rule.optional) {
      check_numbers(policy_, rule.match.layers, layers, "layer");
      if (!heads.empty()) check_numbers(policy_, rule.match.heads, heads, "head");
      if (!matches) no_match(rule);
    }
    if (matches) check_hidden(r);
  }

 private:
  [[noreturn]] void no_match(const Rule& rule) const {
    std::vector<std::string> names;
    for (const auto& s : sites_) names.push_back(s.name);
    std::string why = sites_.empty() ? "the model has no attention site" : "";
    for (const auto& p : rule.match.names) why += did_you_mean(p.text, names);
    if (why.empty()) {
      const auto reason = structural_mismatch(rule.match, sites_[0]);
      why = concat("at '", names[0], "', ", reason);
    }
    Error error(Code::policy, concat(position(policy_.path, rule.at), ": the rule matches no attention site",
                                     why.starts_with(';') ? "" : ": ", why));
    throw error.hint("`inspect --sites` lists the sites; a rule that may match nothing says 'optional: true'");
  }

  // Every head it matches is taken by a later rule that needs no step and no size.
  void check_hidden(std::size_t r) const {
    std::set<int> lines;
    for (const auto& site : sites_) {
      if (!structural_mismatch(policy_.rules[r].match, site).empty()) continue;
      for (std::int64_t h = 0; h < site.q_heads; ++h) {
        if (!takes_head(policy_.rules[r].match, h)) continue;
        std::size_t later = policy_.rules.size() - 1;
        while (later > r && !always_takes(policy_.rules[later].match, site, h)) --later;
        if (later == r) return;
        lines.insert(policy_.rules[later].at.line);
      }
    }
    std::string list;
    for (const int line : lines) list += concat(list.empty() ? "" : ", ", line);
    policy_error(policy_.path, policy_.rules[r].at, "the rule never wins: at every site a later rule (line ", list,
                 ") matches too, and the last match wins");
  }
  static bool always_takes(const RuleMatch& m, const AttentionSite& site, std::int64_t head) {
    return m.steps.empty() && m.when.empty() && takes_head(m, head) && structural_mismatch(m, site).empty();
  }

  const Policy& policy_;
  const std::vector<AttentionSite>& sites_;
};

}  // namespace

std::string structural_mismatch(const RuleMatch& m, const AttentionSite& site) {
  if (!has_role(m, site)) return concat("role is ", name(site.role));
  if (m.causal && *m.causal != site.causal) return concat("causal is ", site.causal ? "true" : "false");
  if (!any_holds(m.layers, site.layer)) return concat("layer is ", site.layer);
  if (!any_matches(m.names, site.name)) return "name does not match";
  if (!any_matches(m.regexes, site.name)) return "regex does not match";
  if (!any_head(m, site)) return concat("it has ", site.q_heads, " heads");
  return {};
}

std::string when_mismatch(const RuleMatch& m, const AttentionSite& site) {
  static constexpr std::string_view names[] = {"tokens", "keys", "batch", "heads", "head_dim"};
  for (const auto& c : m.when)
    if (!holds(c, site))
      return concat("when: ", names[static_cast<std::size_t>(c.quantity)], " is ", quantity_of(site, c.quantity));
  return {};
}

bool takes_head(const RuleMatch& m, std::int64_t head) { return any_holds(m.heads, head); }

Winners select_rules(const Policy& policy, const std::vector<AttentionSite>& sites, const StepClass& at) {
  const Effect effect(policy, sites);
  for (std::size_t r = 0; r < policy.rules.size(); ++r) effect.check_rule(r);
  Winners all;
  for (const auto& site : sites) {
    auto& winners = all.of.emplace_back(static_cast<std::size_t>(site.q_heads), -1);
    auto& trails = all.rules.emplace_back();
    for (std::size_t r = 0; r < policy.rules.size(); ++r) {
      const RuleMatch& m = policy.rules[r].match;
      auto& trail = trails.emplace_back();
      trail.line = policy.rules[r].at.line;
      trail.reason = structural_mismatch(m, site);
      if (trail.reason.empty() && !at.active[r]) trail.reason = "another step";
      if (trail.reason.empty()) trail.reason = when_mismatch(m, site);
      if (!trail.reason.empty()) continue;
      trail.outcome = RuleTrail::Outcome::lost;
      for (std::size_t h = 0; h < winners.size(); ++h)
        if (takes_head(m, static_cast<std::int64_t>(h))) winners[h] = static_cast<int>(r);
    }
    for (std::size_t r = 0; r < policy.rules.size(); ++r) {
      if (trails[r].outcome == RuleTrail::Outcome::unmatched) continue;
      std::vector<std::int64_t> won;
      std::set<std::int64_t> over;
      for (std::size_t h = 0; h < winners.size(); ++h) {
        if (winners[h] == static_cast<int>(r))
          won.push_back(static_cast<std::int64_t>(h));
        else if (takes_head(policy.rules[r].match, static_cast<std::int64_t>(h)))
          over.insert(policy.rules[static_cast<std::size_t>(winners[h])].at.line);
      }
      const std::string lines = numbers({over.begin(), over.end()});
      if (won.empty())
        trails[r].reason = concat("to line ", lines);
      else
        trails[r].outcome = RuleTrail::Outcome::won;
      if (!won.empty() && won.size() < winners.size())
        trails[r].reason = concat("heads ", numbers(won), over.empty() ? "" : concat(", lost others to line ", lines));
    }
  }
  return all;
}

}  // namespace tessera
