#include "runtime/policy/policy.h"

#include <algorithm>
#include <cmath>
#include <regex>

namespace tessera {
namespace {

// Iterative: after a mismatch the last * takes one character more.
bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

double Schedule::at(std::int64_t train_step) const {
  if (train_step < 0) return to;
  if (train_step < after) return from;
  const double added = static_cast<double>(1 + (train_step - after) / every);
  // Steps like 0.03 are no binary fractions: what is within rounding of `to` is `to`, and sums are decimal again.
  const double left = (to - from) / add - added;
  return left < 1e-6 ? to : std::round((from + added * add) * 1e9) / 1e9;
}

bool StepRange::holds(int step, int steps) const {
  if (!percent) return step >= first && step <= last;
  return 100.0 * step >= first * steps && 100.0 * step < last * steps;
}

std::int64_t quantity_of(const AttentionSite& site, Quantity q) {
  const std::int64_t all[] = {site.tokens, site.keys, site.batch, site.q_heads, site.head_dim};
  return all[static_cast<std::size_t>(q)];
}

bool holds(const SizeCondition& c, const AttentionSite& site) {
  const std::int64_t x = quantity_of(site, c.quantity);
  const bool all[] = {x<c.value, x <= c.value, x> c.value, x >= c.value, x == c.value, x != c.value};
  return all[static_cast<std::size_t>(c.relation)];
}

bool follows_steps(const Policy& policy) {
  const auto follows = [](const auto& rule) { return !rule.match.steps.empty(); };
  return std::any_of(policy.rules.begin(), policy.rules.end(), follows) ||
         std::any_of(policy.linear.begin(), policy.linear.end(), follows);
}

bool follows_training(const Policy& policy) {
  return std::any_of(policy.rules.begin(), policy.rules.end(), [](const Rule& rule) {
    return std::any_of(rule.with.begin(), rule.with.end(), [](const auto& p) { return p.schedule.has_value(); });
  });
}

std::string position(const std::string& path, PolicyPlace at) {
  return at.line == 0 ? path : concat(path, ":", at.line, ":", at.column);
}

bool NamePattern::matches(const std::string& name) const {
  if (!regex) return glob_matches(text, name);
  // The breadth-first matcher: linear in the name, whatever the expression.
  return std::regex_match(name, std::regex(text, std::regex::ECMAScript | std::regex_constants::__polynomial));
}

bool any_matches(const std::vector<NamePattern>& patterns, const std::string& name) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(), [&](const auto& p) { return p.matches(name); });
}

}  // namespace tessera
