// tessera bench MODEL...: how long models take, measured in turns so that what disturbs one disturbs all.
#include <fmt/format.h>
#include <sched.h>
#include <algorithm>
#include <mutex>
#include <set>

#include "runtime/session/open_policy.h"
#include "tools/bench/ratio.h"
#include "tools/bench/worker.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/environment.h"
#include "tools/inputs.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

const std::string no_policy = "none";
// What --require may ask for: the ratios, and the numbers of a result.
const std::vector<std::string> quantities = {"ratio", "median_s", "min_s", "p90_s", "gflops", "peak_rss_mb"};

struct BenchFlags {
  std::vector<std::string> models, policies, require;
  std::string threads = "0";
  int repeat = 15, warmup = 2;
  StepFlags at;
  InputFlags inputs;
  SessionFlags session;
  ReportFlags report;
};

// One thing that is measured, and what came of it.
struct Entry {
  std::string model, policy, label;
  int threads;
  std::vector<double> seconds;
  double flops = 0, peak_rss_bytes = 0;
};

int available_threads() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

std::vector<Entry> entries_of(const BenchFlags& f) {
  std::vector<int> threads;
  for (std::size_t at = 0; at <= f.threads.size();) {
    const auto end = std::min(f.threads.find(',', at), f.threads.size());
    const auto n = parse_count(f.threads.substr(at, end - at), "--threads");
    threads.push_back(n == 0 ? available_threads() : checked_threads(n));
    at = end + 1;
  }
  const std::vector<std::string> none = {no_policy};
  std::vector<Entry> entries;
  for (const auto& model : f.models)
    for (const auto& policy : f.policies.empty() ? none : f.policies)
      for (const int n : threads) {
        std::string label = f.policies.empty() ? model : fmt::format("{}, {}", model, policy);
        if (threads.size() > 1) label += fmt::format(", {} thread{}", n, n == 1 ? "" : "s");
        const auto same = [&](const Entry& e) { return e.model == model && e.policy == policy && e.threads == n; };
        const auto before = std::count_if(entries.begin(), entries.end(), same);
        if (before > 0) label += fmt::format(" #{}", before + 1);
        entries.push_back({model, policy, label, n, {}});
      }
  return entries;
}

// Each policy that is measured, by its name on the command line, read once for all the models it is measured with.
using Policies = std::map<std::string, std::shared_ptr<const Policy>>;

Policies read_policies(const BenchFlags& f) {
  Policies policies = {{no_policy, nullptr}};
  for (const auto& path : f.policies)
    if (const auto [at, first] = policies.try_emplace(path); first) {
      at->second = open_policy(path);
      f.at.remark_on(at->second.get());
    }
  return policies;
}

class FlopSum final : public Observer {
 public:
  void step(const StepEvent& event) override {
    const std::lock_guard lock(mutex_);
    flops += event.flops;
  }
  double flops = 0;

 private:
  std::mutex mutex_;
};

// Runs in the worker: opens the model, then measures a run each time it is asked. The first run counts the FLOPs.
Worker::Run open_for_measuring(const BenchFlags& f, const Entry& entry, const Policies& policies, Missing missing,
                               Deadline deadline) {
  SessionOptions options = f.session.options();
  options.threads = entry.threads;
  auto session = std::make_shared<Session>(Session::open(entry.model, policies.at(entry.policy), options));
  auto inputs = std::make_shared<NamedTensors>(make_inputs(f.inputs, session->graph(), missing));
  auto counted = std::make_shared<bool>(false);
  return [session, inputs, counted, deadline, &f] {
    FlopSum sum;
    RunOptions run;
    const StepPosition at = f.at.position();
    run.step = at.step, run.steps = at.steps, run.train_step = at.train_step;
    run.deadline = deadline;
    if (!std::exchange(*counted, true)) run.observer = &sum;
    const auto begin = std::chrono::steady_clock::now();
    session->run(*inputs, run);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return Measurement{seconds, sum.flops, static_cast<double>(peak_rss_bytes())};
  };
}

void measure(const BenchFlags& f, const Policies& policies, std::vector<Entry>& entries) {
  std::vector<Worker> workers;
  const Deadline deadline = f.session.deadline_from_now();
  std::set<std::string> models;
  for (const auto& e : entries) {
    const Missing missing = models.insert(e.model).second ? Missing::random : Missing::random_again;
    workers.emplace_back([&] { return open_for_measuring(f, e, policies, missing, deadline); });
  }
  const auto run = [&](std::size_t i) {
    try {
      return workers[i].run();
    } catch (Error& error) {
      throw in_model(error, entries[i].model);
    }
  };
  Progress progress("runs", (f.warmup + f.repeat) * static_cast<std::int64_t>(entries.size()));
  std::int64_t done = 0;
  for (int round = 0; round < f.warmup + f.repeat; ++round)
    for (std::size_t n = 0; n < entries.size(); ++n) {
      const std::size_t i = (n + static_cast<std::size_t>(round)) % entries.size();  // another one first each round
      const Measurement m = run(i);
      entries[i].flops += m.flops;
      entries[i].peak_rss_bytes = m.peak_rss_bytes;
      if (round >= f.warmup) entries[i].seconds.push_back(m.seconds);
      progress.reached(++done);
    }
}

double gflops(const Entry& e) { return e.flops / median(e.seconds) / 1e9; }

Json report_json(const BenchFlags& f, const std::vector<Entry>& entries) {
  Json results = Json::array(), ratios = Json::array();
  for (const auto& e : entries)
    results.push_back({{"model", e.model},
                       {"policy", e.policy == no_policy ? Json(nullptr) : Json(e.policy)},
                       {"threads", e.threads},
                       {"runs", f.repeat},
                       {"median_s", median(e.seconds)},
                       {"min_s", percentile(e.seconds, 0)},
                       {"p90_s", percentile(e.seconds, 0.9)},
                       {"gflops", gflops(e)},
                       {"peak_rss_mb", e.peak_rss_bytes / 1e6}});
  for (std::size_t i = 1; i < entries.size(); ++i) {
    const Ratio r = paired_ratio(entries[i].seconds, entries[0].seconds);
    ratios.push_back(
        {{"a", entries[i].label}, {"b", entries[0].label}, {"median", r.median}, {"low", r.low}, {"high", r.high}});
  }
  return {{"schema", 1},
          {"environment",
           {{"cpu", cpu_name()}, {"isa", isa_name()}, {"threads", available_threads()}, {"commit", build_commit}}},
          {"results", results},
          {"ratios", ratios}};
}

// One table, for programs: ratios are of a result's times by those of the first.
std::string report_csv(const Json& report) {
  Table table{{"model", "policy", "threads", "runs", "median_s", "min_s", "p90_s", "gflops", "peak_rss_mb", "ratio",
               "ratio_low", "ratio_high"},
              {}};
  for (const auto& r : report["results"]) {
    auto& row = table.rows.emplace_back();
    for (const auto& [key, value] : r.items())
      row.push_back(value.is_null() ? "" : value.is_string() ? value.get<std::string>() : text_of(value));
    const std::size_t n = table.rows.size() - 1;
    for (const char* key : {"median", "low", "high"})
      row.push_back(n == 0 ? "" : text_of(report["ratios"][n - 1][key]));
  }
  return render(table, Format::csv);
}

std::string report_text(const Json& report, const std::vector<Entry>& entries, const BenchFlags& f) {
  Table results{{"model", "policy", "threads", "runs", "median", "min", "p90", "GFLOP/s", "peak RSS"}, {}};
  const auto time = [](const Json& j, const char* key) { return readable_time(j[key].get<double>()); };
  for (const auto& r : report["results"])
    results.rows.push_back({r["model"].get<std::string>(), r["policy"].is_null() ? "-" : r["policy"].get<std::string>(),
                            concat(r["threads"].get<int>()), concat(f.repeat), time(r, "median_s"), time(r, "min_s"),
                            time(r, "p90_s"), fmt::format("{:.1f}", r["gflops"].get<double>()),
                            readable_bytes(r["peak_rss_mb"].get<double>() * 1e6)});
  std::string text = render(results, f.report.format());
  if (entries.size() < 2) return text;
  const bool range = f.repeat < fewest_pairs;
  Table ratios{{"time of", "by time of", "ratio", range ? "lowest" : "95 % low", range ? "highest" : "high"}, {}};
  for (const auto& r : report["ratios"])
    ratios.rows.push_back(
        {r["a"].get<std::string>(), r["b"].get<std::string>(), fmt::format("{:.3f}", r["median"].get<double>()),
         fmt::format("{:.3f}", r["low"].get<double>()), fmt::format("{:.3f}", r["high"].get<double>())});
  return text + "\n" + render(ratios, f.report.format());
}

// Each requirement holds for every ratio or result.
int check_requirements(const std::vector<Requirement>& all, const Json& report, const std::vector<Entry>& entries) {
  int code = 0;
  for (const auto& r : all) {
    const bool ratio = r.quantity == "ratio";
    for (std::size_t i = ratio ? 1 : 0; i < entries.size(); ++i) {  // the first is what the others are compared with
      const double value =
          ratio ? report["ratios"][i - 1]["median"].get<double>() : report["results"][i][r.quantity].get<double>();
      if (r.holds(value)) continue;
      std::fputs(concat("tessera: required ", r.quantity, r.relation, r.bound, ", but '", entries[i].label, "' has ",
                        value, "\n")
                     .c_str(),
                 stderr);
      code = exit_require;
    }
  }
  return code;
}

int bench(const BenchFlags& f) {
  check(f.repeat >= 1 && f.repeat <= 1'000'000, "--repeat must be from 1 to 1000000, got ", f.repeat);
  check(f.warmup >= 0 && f.warmup <= 1'000'000, "--warmup must be from 0 to 1000000, got ", f.warmup);
  std::vector<Requirement> requirements;
  for (const auto& text : f.require) requirements.push_back(parse_requirement(text, quantities));
  std::vector<Entry> entries = entries_of(f);
  for (const auto& r : requirements)
    check(r.quantity != "ratio" || entries.size() > 1,
          "--require ratio: there is nothing to compare; give two models, two policies or --threads 1,2");
  f.at.position();  // refuses a bad one before anything is measured
  measure(f, read_policies(f), entries);
  const Json report = report_json(f, entries);
  const Format format = f.report.format();
  print(format == Format::json  ? text_of(report, 2) + "\n"
        : format == Format::csv ? report_csv(report)
                                : report_text(report, entries, f));
  return check_requirements(requirements, report, entries);
}

}  // namespace

void add_bench(Command& app) {
  auto f = std::make_shared<BenchFlags>();
  Command sub = app.subcommand("bench", "Measure models and policies in turns; compare each with the first");
  sub.option("MODEL", f->models, "Models: .onnx, or .textproto").required();
  sub.option("--policy FILE|none", f->policies, "A policy to measure with; several are compared; none: without one");
  f->at.add_to(sub);
  sub.option("--repeat N", f->repeat, "Measured rounds; in each every model runs once").shows_default();
  sub.option("--warmup N", f->warmup, "Rounds before those").shows_default();
  sub.option("--threads N,...", f->threads, "Threads to use; several numbers are compared; 0: all the process may use")
      .shows_default();
  sub.option("--require 'ratio<=0.9'", f->require,
             fmt::format("Exit with 7 unless this holds for all: {}", fmt::join(quantities, ", ")));
  f->inputs.add_to(sub);
  f->session.add_limits_to(sub);
  f->report.add_to(sub);
  sub.does([f] { return bench(*f); });
}

}  // namespace tessera
