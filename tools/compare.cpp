// tessera compare MODEL --policy A --policy B: what each policy costs in accuracy and saves in time, site by site.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>

#include "runtime/base/aside_file.h"
#include "runtime/load/load.h"
#include "runtime/plan/specialise.h"
#include "runtime/policy/comparison.h"
#include "runtime/session/graph_run.h"
#include "runtime/session/open_policy.h"
#include "tools/bench/ratio.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/compare/report.h"
#include "tools/inputs.h"
#include "tools/json.h"
#include "tools/picture/error_time_plot.h"
#include "tools/progress.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

struct CompareFlags {
  std::string model, plot;
  std::vector<std::string> policies;
  int repeat = 0;  // 0: as often as is quick
  InputFlags inputs;
  StepFlags position;
  SessionFlags session;
  ReportFlags report;
};

// The times of all nodes of a name, run by run.
class NodeTimes final : public Observer {
 public:
  void step(const StepEvent& event) override {
    auto& runs = nodes_[std::string(event.node)];
    runs.resize(runs_ + 1);
    runs.back() += static_cast<double>(event.end_ns - event.begin_ns) * 1e-9;
  }
  void next_run() { ++runs_; }
  void forget() {
    nodes_.clear();
    runs_ = 0;
  }
  double of(const std::string& node) const { return median(nodes_.at(node)); }
  // Of all nodes whose names begin so; or, for an empty prefix, of the reference's.
  double of_model(const std::string& prefix) const {
    double sum = 0;
    for (const auto& [name, seconds] : nodes_) {
      const bool reference =
          !name.starts_with("policy ") && !name.starts_with("ISOLATED/") && !name.starts_with("MEASURE/");
      if (prefix.empty() ? reference : name.starts_with(prefix)) sum += median(seconds);
    }
    return sum;
  }

 private:
  std::size_t runs_ = 0;  // finished ones
  std::map<std::string, std::vector<double>> nodes_;
};

// Of tessera::ErrorSums.
Difference difference(const Tensor& sums) {
  const auto s = sums.read<double>();
  const auto relative = s[2] > 0 ? std::sqrt(s[0] / s[2]) : s[0] > 0 ? INFINITY : s[0];
  const double lengths = std::sqrt(s[1]) * std::sqrt(s[2]);
  return {relative, s[4], lengths > 0 ? s[3] / lengths : s[0] == 0 ? 1.0 : 0.0};
}

double mean(const Tensor& t) {
  const auto x = converted(t, DType::f64);
  double sum = 0;
  for (const double v : x.read<double>()) sum += v;
  return t.size() > 0 ? sum / static_cast<double>(t.size()) : 0;
}

// Both products.
double flops_of_all_pairs(const AttentionSite& site) {
  return 2 * static_cast<double>(site.batch * site.q_heads) * static_cast<double>(site.tokens * site.keys) *
         static_cast<double>(site.head_dim + site.v_dim);
}

// File names where they tell policies apart, else paths.
std::vector<std::string> policy_names(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  for (const auto& p : paths) names.push_back(std::filesystem::path(p).filename().string());
  const std::set<std::string> different(names.begin(), names.end());
  return different.size() == names.size() ? names : paths;
}

CompareReport collect(const CompareFlags& f, const JointGraph& joint, const Graph& graph, const NodeTimes& times,
                      const NamedTensors& values) {
  CompareReport report;
  report.model = f.model;
  report.outputs = joint.outputs;
  report.dense_seconds = times.of_model("");
  const auto labels = policy_names(f.policies);
  std::map<std::string, const Node*> attentions;  // casts around a site have its name
  for (const auto& n : graph.nodes)
    if (n.op->domain == "tessera.attention") attentions.emplace(n.name, &n);
  const auto is_dense = [&](std::size_t s) { return attentions.at(joint.site_nodes[s])->op->name == "dense"; };
  double pairs = 0, all_pairs = 0;
  for (std::size_t s = 0; s < joint.sites.size(); ++s) {
    report.dense_attention_seconds += times.of(joint.site_nodes[s]);
    if (!is_dense(s)) report.reference = "as in the file";
    pairs += mean(values.at(joint.site_densities[s])) * flops_of_all_pairs(joint.sites[s]);
    all_pairs += flops_of_all_pairs(joint.sites[s]);
  }
  report.dense_density = all_pairs > 0 ? pairs / all_pairs : 1;
  for (std::size_t p = 0; p < joint.policies.size(); ++p) {
    const ComparedPolicy& policy = joint.policies[p];
    ComparedPolicyReport& to = report.policies.emplace_back();
    to.name = labels[p];
    to.seconds = times.of_model(policy.prefix);
    for (std::size_t s = 0; s < joint.sites.size(); ++s) {
      const AttentionSite& site = joint.sites[s];
      const ComparedSite& names = policy.sites[s];
      ComparedSiteReport& row = to.sites.emplace_back();
      row.name = site.name;
      const Node& node = *attentions.at(names.node);
      row.method = node.op->name;
      row.precision = name(graph.at(node.in[0]).dtype);
      row.isolated = difference(values.at(names.isolated));
      row.cumulative = difference(values.at(names.cumulative));
      row.density = mean(values.at(names.density));
      if (is_dense(s)) row.mass = mean(values.at(names.mass));
      row.dense_density = mean(values.at(joint.site_densities[s]));
      row.all_flops = flops_of_all_pairs(site);
      row.flops = row.density * row.all_flops;
      row.dense_seconds = times.of(joint.site_nodes[s]);
      row.seconds = times.of(names.node);
      to.attention_seconds += times.of(names.copy);
    }
    for (const auto& output : policy.outputs) to.outputs.push_back(difference(values.at(output)));
  }
  return report;
}

// As many as take two seconds after the warm-up: 3 to 20.
int runs_within_budget(double seconds) {
  return 1 + static_cast<int>(std::clamp(2 / std::max(seconds, 1e-9), 2.0, 19.0));
}

CompareReport measure(const CompareFlags& f) try {
  std::vector<std::shared_ptr<const Policy>> policies;
  for (const auto& path : f.policies) policies.push_back(open_policy(path));
  const Registry registry = registry_for(f.session.plugin, policies);
  const Graph loaded = load(f.model, registry);
  const NamedTensors inputs = make_inputs(f.inputs, loaded, Missing::random);
  const Binding binding = binding_of(f.inputs, loaded, inputs);
  const auto after = [&](Stage stage, const PolicyUse& use) {
    return graph_after(stage, loaded, binding, registry, f.session.passes(), use);
  };
  const Graph reference = after(Stage::fuse, {});
  std::vector<Graph> graphs;
  for (const auto& policy : policies) {
    f.position.remark_on(policy.get());
    Trail trail;
    PolicyUse use = policy_use(policy.get(), loaded, registry, f.position.position());
    use.trail = &trail;
    graphs.push_back(after(Stage::fuse, use));
    warn_of_fallbacks(*policy, trail);
  }
  JointGraph joint = compare_graphs(reference, graphs, registry);
  const bool linear = std::any_of(policies.begin(), policies.end(), [](const auto& p) { return !p->linear.empty(); });
  check(!joint.sites.empty() || linear, "the model has no attention that a policy could change");
  GraphRun graph_run(std::move(joint.graph), registry, f.session.options(), {.mode = Plan::Mode::ordered});
  NodeTimes times;
  const Deadline deadline = f.session.deadline_from_now();
  const auto run = [&] {
    const auto begin = std::chrono::steady_clock::now();
    NamedTensors values = graph_run.run(inputs, {.observer = &times, .deadline = deadline, .ordered = true});
    times.next_run();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    return std::pair(std::move(values), seconds.count());
  };
  const auto [values, warm_up] = run();
  const int runs = f.repeat > 0 ? f.repeat : runs_within_budget(warm_up);
  if (runs > 1) times.forget();
  Progress progress("runs", runs);
  for (int i = 1; i < runs; ++i) {
    run();
    progress.reached(i + 1);
  }
  CompareReport report = collect(f, joint, graph_run.plan().graph, times, values);
  report.threads = graph_run.threads();
  report.runs = std::max(1, runs - 1);
  return report;
} catch (Error& e) {
  throw in_model(e, f.model);
}

void write_plot(const std::string& path, const CompareReport& report) {
  std::vector<PlotPoint> points{{report.reference, report.dense_seconds, 0}};
  for (const auto& p : report.policies) points.push_back({p.name, p.seconds, p.worst_output().relative});
  AsideFile file(path);
  file.write(error_time_plot(
      concat(std::filesystem::absolute(report.model).lexically_normal().parent_path().filename().string(),
             ": error against time"),
      points));
  file.commit();
}

int compare(const CompareFlags& f) {
  check(f.repeat >= 0 && f.repeat <= 1'000'000, "--repeat must be from 1 to 1000000, got ", f.repeat);
  check(f.plot.empty() || f.plot.ends_with(".svg"), "--plot: '", f.plot, "' must end in .svg");
  if (!f.plot.empty()) check_can_write(f.plot);
  const CompareReport report = measure(f);
  const Format format = f.report.format();
  print(format == Format::json ? text_of(compare_json(report), 2) + "\n" : compare_text(report, format));
  if (!f.plot.empty()) write_plot(f.plot, report);
  if (!f.plot.empty()) remark("wrote " + f.plot);
  return 0;
}

}  // namespace

void add_compare(Command& app) {
  auto f = std::make_shared<CompareFlags>();
  Command sub = app.subcommand("compare", "Dense against policies: error, density and time of every attention");
  sub.option("MODEL", f->model, "The model: .onnx, or .textproto").required();
  sub.option("--policy FILE", f->policies, "A policy to compare with dense").required();
  sub.option("--repeat N", f->repeat,
             "Runs; times are medians, the first of several is left out; else what fits two seconds");
  sub.option("--plot FILE.svg", f->plot, "Write error against time as a picture");
  f->inputs.add_to(sub);
  f->position.add_to(sub);
  f->session.add_to(sub);
  f->report.add_to(sub);
  sub.does([f] { return compare(*f); });
}

}  // namespace tessera
