#include "tools/compare/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"
#include "tools/environment.h"
#include "tools/json.h"

namespace tessera {

double ComparedPolicyReport::density() const {
  double pairs = 0, all = 0;
  for (const auto& s : sites) {
    pairs += s.flops;
    all += s.all_flops;
  }
  return all > 0 ? pairs / all : 1;
}

Difference ComparedPolicyReport::worst_output() const {
  const auto worse = [](double a, double b) { return std::isnan(a) || a > b ? a : b; };
  Difference worst;
  for (const auto& o : outputs) {
    worst.relative = worse(o.relative, worst.relative);
    worst.greatest = worse(o.greatest, worst.greatest);
    worst.cosine = -worse(-o.cosine, -worst.cosine);
  }
  return worst;
}

namespace {

std::string error(double x) { return x == 0 ? "0" : fmt::format("{:.2e}", x); }
std::string share(double x) { return fmt::format("{:.3f}", x); }
std::string times(double x) { return fmt::format("{:.2f}x", x); }

Table summary(const CompareReport& r) {
  Table table{{"policy", "density", "output error", "max", "cosine", "model", "speed-up", "attention", "speed-up"}, {}};
  table.rows.push_back({r.reference, share(r.dense_density), "0", "0", "1", readable_time(r.dense_seconds), times(1),
                        readable_time(r.dense_attention_seconds), times(1)});
  for (const auto& p : r.policies) {
    const Difference worst = p.worst_output();
    table.rows.push_back({p.name, share(p.density()), error(worst.relative), error(worst.greatest),
                          fmt::format("{:.6f}", worst.cosine), readable_time(p.seconds),
                          times(r.dense_seconds / p.seconds), readable_time(p.attention_seconds),
                          times(r.dense_attention_seconds / p.attention_seconds)});
  }
  return table;
}

Table sites(const ComparedPolicyReport& p) {
  Table table{{"site", "method", "precision", "density", "mass kept", "error alone", "max", "cosine", "error so far",
               "FLOP", "time", "speed-up", "by FLOPs"},
              {}};
  for (const auto& s : p.sites)
    table.rows.push_back({s.name, s.method, s.precision, share(s.density), s.mass ? share(*s.mass) : "-",
                          error(s.isolated.relative), error(s.isolated.greatest),
                          fmt::format("{:.6f}", s.isolated.cosine), error(s.cumulative.relative),
                          readable_count(s.flops), readable_time(s.seconds), times(s.speedup()), times(s.predicted())});
  return table;
}

// All sites of all policies in one table, for programs that read tables; what is of a policy stands in each of its
// rows.
std::string csv(const CompareReport& r) {
  Table all{{"policy",        "site",         "method",
             "precision",     "density",      "mass",
             "isolated_l2",   "isolated_max", "isolated_cosine",
             "cumulative_l2", "flops",        "dense_s",
             "time_s",        "speedup",      "speedup_by_flops",
             "output_l2",     "output_max",   "output_cosine",
             "dense_model_s", "model_s",      "dense_attention_s",
             "attention_s"},
            {}};
  for (const auto& p : r.policies) {
    const Difference output = p.worst_output();
    for (const auto& s : p.sites) {
      auto& row = all.rows.emplace_back(std::vector{p.name, s.name, s.method, s.precision, fmt::format("{}", s.density),
                                                    s.mass ? fmt::format("{}", *s.mass) : ""});
      for (const double x :
           {s.isolated.relative, s.isolated.greatest, s.isolated.cosine, s.cumulative.relative, s.flops,
            s.dense_seconds, s.seconds, s.speedup(), s.predicted(), output.relative, output.greatest, output.cosine,
            r.dense_seconds, p.seconds, r.dense_attention_seconds, p.attention_seconds})
        row.push_back(fmt::format("{}", x));
    }
  }
  return render(all, Format::csv);
}

Json json_of(const Difference& d) { return {{"relative_l2", d.relative}, {"max", d.greatest}, {"cosine", d.cosine}}; }

}  // namespace

std::string compare_text(const CompareReport& r, Format format) {
  if (format == Format::csv) return csv(r);
  const bool md = format == Format::md;
  std::string text = render(summary(r), format);
  for (const auto& p : r.policies)
    text += concat("\n", md ? "**" : "", p.name, md ? "**\n\n" : "\n", render(sites(p), format, md ? 0 : 2));
  return text;
}

Json compare_json(const CompareReport& r) {
  Json policies = Json::array();
  for (const auto& p : r.policies) {
    Json list = Json::array(), outputs = Json::object();
    for (const auto& s : p.sites)
      list.push_back({{"site", s.name},
                      {"method", s.method},
                      {"precision", s.precision},
                      {"density", s.density},
                      {"mass", s.mass ? Json(*s.mass) : Json(nullptr)},
                      {"isolated", json_of(s.isolated)},
                      {"cumulative", json_of(s.cumulative)},
                      {"flops", s.flops},
                      {"dense_s", s.dense_seconds},
                      {"time_s", s.seconds},
                      {"speedup", s.speedup()},
                      {"speedup_by_flops", s.predicted()}});
    for (std::size_t o = 0; o < p.outputs.size(); ++o) outputs[r.outputs[o]] = json_of(p.outputs[o]);
    policies.push_back({{"policy", p.name},
                        {"density", p.density()},
                        {"model_s", p.seconds},
                        {"attention_s", p.attention_seconds},
                        {"outputs", outputs},
                        {"sites", list}});
  }
  return {{"schema", 1},
          {"model", r.model},
          {"environment", {{"cpu", cpu_name()}, {"isa", isa_name()}, {"threads", r.threads}, {"commit", build_commit}}},
          {"runs", r.runs},
          {"dense",
           {{"methods", r.reference},
            {"density", r.dense_density},
            {"model_s", r.dense_seconds},
            {"attention_s", r.dense_attention_seconds}}},
          {"policies", policies}};
}

}  // namespace tessera
