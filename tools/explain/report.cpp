#include "tools/explain/report.h"

#include <fmt/format.h>
#include <algorithm>

#include "tools/explain/lock.h"
#include "tools/json.h"

namespace tessera {
namespace {

struct Totals {
  double flops = 0, dense_flops = 0, linear_flops = 0;
  std::int64_t linear = 0;
  double density = 0;  // mean over sites, by their pairs
};

Totals totals_of(const Trail& trail) {
  Totals t;
  double pairs = 0;
  for (const auto& s : trail.sites) {
    const double all = static_cast<double>(s.site.batch * s.site.q_heads) * static_cast<double>(s.site.tokens) *
                       static_cast<double>(s.site.keys);
    t.flops += s.flops;
    t.dense_flops += s.dense_flops;
    t.density += all * s.density;
    pairs += all;
  }
  if (pairs > 0) t.density /= pairs;
  for (const auto& l : trail.linear) {
    if (!l.bf16) continue;
    t.linear_flops += l.flops;
    ++t.linear;
  }
  return t;
}

std::string parameters_text(const BindingTrail& b) {
  std::string text;
  for (const auto& [name, value] : b.parameters) {
    const auto* word = std::get_if<std::string>(&value);
    text += concat(text.empty() ? "" : ", ", name, " ", word ? *word : to_text(value));
  }
  for (const auto& input : b.inputs) text += concat(text.empty() ? "" : ", ", input);
  if (b.bf16) text += text.empty() ? "bf16" : ", bf16";
  return text;
}

std::string method_text(const BindingTrail& b) {
  const std::string method =
      b.library.empty() ? b.method : fmt::format("{} v{} (plugin {})", b.method, b.version, b.library);
  return b.refusal.empty() || b.refused_method == b.method ? method
                                                           : fmt::format("{}, not {}", method, b.refused_method);
}

std::string share(double part, double of) { return of > 0 ? fmt::format("{:.3f}", part / of) : "-"; }

Table sites_table(const Trail& trail) {
  Table table{{"site", "role", "layer", "tokens", "keys", "heads", "line", "method", "density", "FLOP", "of dense",
               "parameters"},
              {}};
  for (const auto& s : trail.sites)
    for (const auto& b : s.bindings) {
      const bool first = &b == &s.bindings.front();
      const auto& site = s.site;
      const double heads =
          b.heads.empty() ? 1 : static_cast<double>(b.heads.size()) / static_cast<double>(site.q_heads);
      table.rows.push_back({first ? site.name : "", first ? std::string(name(site.role)) : "", concat(site.layer),
                            concat(site.tokens), concat(site.keys), b.heads.empty() ? "all" : numbers(b.heads),
                            b.line ? concat(b.line) : "-", method_text(b), fmt::format("{:.3f}", b.density),
                            readable_count(b.flops), share(b.flops, heads * s.dense_flops), parameters_text(b)});
    }
  return table;
}

std::string outcome_text(const RuleTrail& r) {
  const std::string line = concat("line ", r.line);
  if (r.outcome == RuleTrail::Outcome::lost) return concat(line, " lost ", r.reason);
  if (r.outcome == RuleTrail::Outcome::won) return concat(line, " won ", r.reason);
  return concat(line, ": ", r.reason);
}

// One row per site and rule that did not win all of it.
Table losers_table(const Trail& trail) {
  Table table{{"site", "rule"}, {}};
  for (const auto& s : trail.sites) {
    bool first = true;
    const auto add = [&](const std::string& text) {
      table.rows.push_back({std::exchange(first, false) ? s.site.name : "", text});
    };
    for (const auto& r : s.rules)
      if (r.outcome != RuleTrail::Outcome::won || !r.reason.empty()) add(outcome_text(r));
    for (const auto& b : s.bindings)
      if (!b.refusal.empty()) add(concat("line ", b.line, " fell back to dense: ", b.refusal));
  }
  return table;
}

Table linear_table(const Trail& trail) {
  Table table{{"matrix product", "line", "precision", "FLOP"}, {}};
  for (const auto& l : trail.linear)
    if (l.line) table.rows.push_back({l.name, concat(l.line), l.bf16 ? "bf16" : "f32", readable_count(l.flops)});
  return table;
}

std::string totals_text(const Explanation& x) {
  const Totals t = totals_of(x.trail);
  std::string text;
  if (follows_steps(x.policy))
    text += fmt::format("step       {} of {}; --step i/n shows another\n", x.at.step, x.at.steps);
  if (follows_training(x.policy))
    text += x.at.train_step < 0 ? "training   where the schedules end; --train-step N shows another step\n"
                                : fmt::format("training   step {}\n", x.at.train_step);
  text += fmt::format("sites      {}, density {}\n", x.trail.sites.size(),
                      x.trail.sites.empty() ? "-" : fmt::format("{:.3f}", t.density));
  text += fmt::format("work       {} of {} dense, {}\n", readable_count(t.flops, "FLOP"),
                      readable_count(t.dense_flops, "FLOP"), share(t.flops, t.dense_flops));
  if (t.linear)
    text += fmt::format("bf16       {} matrix products, {}\n", t.linear, readable_count(t.linear_flops, "FLOP"));
  text += fmt::format("fallbacks  {}\n", x.trail.fallbacks);
  return text;
}

Json binding_json(const BindingTrail& b) {
  Json parameters = Json::object();
  for (const auto& [name, value] : b.parameters) parameters[name] = attribute_json(value);
  Json refused = nullptr;
  if (!b.refusal.empty()) refused = {{"method", b.refused_method}, {"reason", b.refusal}};
  return {
      {"heads", b.heads},     {"line", b.line},           {"method", b.method}, {"version", b.version},
      {"library", b.library}, {"parameters", parameters}, {"inputs", b.inputs}, {"precision", b.bf16 ? "bf16" : "f32"},
      {"density", b.density}, {"flops", b.flops},         {"refused", refused}};
}

Json site_json(const SiteTrail& s) {
  static constexpr const char* outcomes[] = {"won", "lost", "unmatched"};
  Json bindings = Json::array(), rules = Json::array();
  for (const auto& b : s.bindings) bindings.push_back(binding_json(b));
  for (const auto& r : s.rules)
    rules.push_back({{"line", r.line}, {"outcome", outcomes[static_cast<int>(r.outcome)]}, {"reason", r.reason}});
  const AttentionSite& site = s.site;
  return {{"name", site.name},         {"role", name(site.role)},
          {"layer", site.layer},       {"causal", site.causal},
          {"mask", name(site.mask)},   {"batch", site.batch},
          {"q_heads", site.q_heads},   {"kv_heads", site.kv_heads},
          {"head_dim", site.head_dim}, {"tokens", site.tokens},
          {"keys", site.keys},         {"density", s.density},
          {"flops", s.flops},          {"dense_flops", s.dense_flops},
          {"bindings", bindings},      {"rules", rules}};
}

}  // namespace

std::string explanation_text(const Explanation& x, Format format) {
  const char* gap = format == Format::md ? "\n" : "";
  std::string text;
  const auto section = [&](const char* title, const Table& t) {
    if (!t.rows.empty()) text += concat(title, "\n", gap, render(t, format, 2), gap);
  };
  section("attention", sites_table(x.trail));
  section("rules that won in part or not at all", losers_table(x.trail));
  section("linear", linear_table(x.trail));
  return text + totals_text(x);
}

Json explanation_json(const Explanation& x) {
  Json sites = Json::array(), linear = Json::array();
  for (const auto& s : x.trail.sites) sites.push_back(site_json(s));
  for (const auto& l : x.trail.linear)
    linear.push_back({{"name", l.name}, {"line", l.line}, {"precision", l.bf16 ? "bf16" : "f32"}, {"flops", l.flops}});
  const Totals t = totals_of(x.trail);
  const bool training = x.at.train_step >= 0;
  return {{"schema", 1},
          {"model", x.model},
          {"policy", x.policy.path},
          {"step", x.at.step},
          {"steps", x.at.steps},
          {"train_step", training ? Json(x.at.train_step) : Json(nullptr)},
          {"grid", x.trail.grid.empty() ? Json(nullptr) : Json(x.trail.grid)},
          {"sites", sites},
          {"linear", linear},
          {"totals",
           {{"sites", x.trail.sites.size()},
            {"density", t.density},
            {"flops", t.flops},
            {"dense_flops", t.dense_flops},
            {"fallbacks", x.trail.fallbacks}}}};
}

}  // namespace tessera
