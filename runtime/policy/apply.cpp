#include "runtime/policy/apply.h"

#include <algorithm>
#include <numeric>

#include "runtime/policy/bind.h"
#include "runtime/policy/grid.h"
#include "runtime/policy/precision.h"
#include "runtime/policy/select.h"

namespace tessera {
namespace {

// One per rule, then the default.
std::vector<Choice> choices(const Policy& policy, const Registry& registry, const StepClass& at) {
  std::vector<Choice> all;
  std::span<const double> scheduled = at.scheduled;
  for (const auto& rule : policy.rules) {
    const AttentionMethod& method = method_named(policy, registry, rule.method, rule.use_at);
    all.push_back({&method, method_attributes(policy, rule, method, scheduled), &rule, rule.bf16});
    const auto used = std::count_if(rule.with.begin(), rule.with.end(), [](const auto& p) { return p.schedule; });
    scheduled = scheduled.subspan(static_cast<std::size_t>(used));
  }
  all.push_back({&method_named(policy, registry, policy.method, policy.method_at), {}, nullptr, false});
  return all;
}

void total(SiteTrail& site) {
  double heads = 0, kept = 0;
  for (const auto& b : site.bindings) {
    const auto n = b.heads.empty() ? site.site.q_heads : static_cast<std::int64_t>(b.heads.size());
    heads += static_cast<double>(n);
    kept += static_cast<double>(n) * b.density;
    site.flops += b.flops;
  }
  if (heads > 0) site.density = kept / heads;
}

}  // namespace

Trail apply_policy(Graph& g, const Policy& policy, const Registry& registry, const StepClass& at) {
  const auto all = choices(policy, registry, at);
  const auto sites = attention_sites(g);
  Winners winners = select_rules(policy, sites, at);
  Trail trail;
  trail.grid = grid_of(policy, g);
  const BindingContext context{policy, registry, trail.grid};
  for (std::size_t s = 0; s < sites.size(); ++s) {
    SiteTrail& site = trail.sites.emplace_back();
    site.site = sites[s];
    site.rules = std::move(winners.rules[s]);
    std::vector<const Choice*> of_head;
    for (const int w : winners.of[s]) of_head.push_back(w < 0 ? &all.back() : &all[static_cast<std::size_t>(w)]);
    bind_site(g, context, of_head, site);
    total(site);
    for (const auto& b : site.bindings) trail.fallbacks += !b.refusal.empty();
  }
  Edit edit(g, registry);
  for (const auto& site : trail.sites)
    if (std::any_of(site.bindings.begin(), site.bindings.end(), [](const auto& b) { return b.bf16; }))
      compute_in_bf16(g, edit, site.site.node);
  trail.linear = apply_linear(g, edit, policy, at);
  edit.commit();
  const auto placed = attention_sites(g);  // casts have moved them
  for (std::size_t s = 0; s < placed.size(); ++s) trail.sites[s].site.node = placed[s].node;
  return trail;
}

}  // namespace tessera
