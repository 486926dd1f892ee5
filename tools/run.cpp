// tessera run MODEL: once, repeated, or in a loop that feeds outputs back to inputs.
#include <fmt/format.h>
#include <algorithm>

#include "runtime/base/nearest.h"
#include "runtime/exec/statistics.h"
#include "runtime/exec/trace.h"
#include "runtime/session/open_policy.h"
#include "tools/bench/ratio.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/environment.h"
#include "tools/inputs.h"
#include "tools/json.h"
#include "tools/observers.h"
#include "tools/outputs.h"
#include "tools/progress.h"
#include "tools/summary.h"
#include "tools/tensor_files.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

struct RunFlags {
  std::string model, trace;
  InputFlags inputs;
  PolicyFlags policy;
  SessionFlags session;
  OutputFlags outputs;
  ReportFlags report;
  int repeat = 1, steps = 0;
  std::vector<std::string> carry, collect, dump_node;
  bool profile = false;
};

struct Loop {
  int first = 0, runs = 1, steps = 1;  // runs of the session; the position of a run is (first + i) of `steps`
};

Loop loop_of(const RunFlags& f) {
  check(f.repeat >= 1, "--repeat must be at least 1, got ", f.repeat);
  check(f.steps == 0 || f.repeat == 1, "--steps and --repeat exclude each other");
  check(f.steps > 0 || (f.carry.empty() && f.collect.empty()), "--carry and --collect need --steps N");
  if (f.steps > 0) {
    check(f.policy.step.empty(), "--steps and --step exclude each other");
    return {0, f.steps, f.steps};
  }
  const StepPosition at = f.policy.position();
  return {at.step, f.repeat, at.steps};
}

// Passes make steps of names that the file does not have, so such a name is no error before the run.
void remark_on_unknown(const std::string& name, const Graph& g) {
  std::vector<std::string> names;
  for (const auto& n : g.nodes) names.push_back(n.name);
  for (const auto& v : g.values) names.push_back(v.name);
  if (std::find(names.begin(), names.end(), name) == names.end())
    remark(concat("--dump-node: the file has no node or value '", name, "'", did_you_mean(name, names)));
}

// Everything that watches the run, as the flags ask.
class Watch {
 public:
  Watch(const RunFlags& f, const Graph& graph, WrittenFiles& files)
      : trace_path_(f.trace), traced_(!f.trace.empty()), repeats_(f.repeat > 1) {
    if (traced_) {
      check(trace_path_.ends_with(".json"), "--trace: '", trace_path_, "' must end in .json");
      files.claim(trace_path_, "--trace");
      observers_.add(trace_);
    }
    if (traced_ || f.profile) observers_.add(statistics);
    for (const auto& [name, path] : assignments(f.dump_node, "--dump-node")) {
      check_format(path, {});
      files.claim(path, "--dump-node " + name);
      remark_on_unknown(name, graph);
      observers_.add(*dumps_.emplace_back(std::make_unique<Dump>(name, path)));
    }
  }
  Observer* observer() { return observers_.get(); }
  // The first of several runs plans and warms up; the operators' shares are those of the others.
  void next_run(int i) {
    trace_.next_run();
    if (i == 1 && repeats_) statistics.forget();
  }
  void write(WrittenFiles& files) const {
    if (traced_) files.add(trace_path_, [&] { trace_.write(trace_path_); });
    for (const auto& dump : dumps_) files.add(dump->path(), [&] { dump->write(); });
  }
  Statistics statistics;

 private:
  std::string trace_path_;
  bool traced_, repeats_;
  Trace trace_;
  std::vector<std::unique_ptr<Dump>> dumps_;
  Observers observers_;
};

// Outputs of every step, for --collect OUT=FILE: stacked on a new first axis.
class Collection {
 public:
  Collection(const std::vector<std::string>& flags, const std::vector<PortInfo>& outputs, WrittenFiles& files)
      : files_(assignments(flags, "--collect")) {
    for (const auto& [name, path] : files_) {
      check_format(path, {port_named(outputs, name, "--collect").dtype});
      files.claim(path, "--collect " + name);
    }
  }
  void add(const NamedTensors& outputs) {
    for (const auto& [name, path] : files_) {
      auto& all = values_[name];
      all.push_back(outputs.at(name));
      check(all.back().shape() == all.front().shape(), "--collect: output '", name, "' changes its shape from ",
            all.front().shape(), " to ", all.back().shape(), " in step ", all.size() - 1);
    }
  }
  void write(WrittenFiles& files) const {
    for (const auto& pair : files_)
      files.add(pair.second, [&] { write_tensor(pair.second, pair.first, stacked(values_.at(pair.first))); });
  }

 private:
  static Tensor stacked(const std::vector<Tensor>& all) {
    Shape shape{static_cast<std::int64_t>(all.size())};
    shape.append(all[0].shape().begin(), all[0].shape().end());
    Tensor whole(all[0].dtype(), shape);
    auto* to = static_cast<std::byte*>(whole.raw());
    for (const auto& t : all) {
      if (t.bytes() > 0) std::memcpy(to, t.raw(), t.bytes());
      to += t.bytes();
    }
    return whole;
  }

  std::vector<Assignment> files_;
  std::map<std::string, std::vector<Tensor>> values_;
};

void check_carry(const Session& session, const std::vector<Assignment>& carry) {
  for (const auto& [out, in] : carry) {
    const auto& from = port_named(session.outputs(), out, "--carry");
    const auto& to = port_named(session.inputs(), in, "--carry", "input");
    check(from.dtype == to.dtype, "--carry ", out, "=", in, ": the output is ", from.dtype, ", the input ", to.dtype);
  }
}

struct Outcome {
  NamedTensors inputs, outputs;  // of the last run
  std::vector<double> seconds;   // of each
};

Outcome perform(Session& session, const RunFlags& f, NamedTensors inputs, Watch& watch, Collection& collection) {
  const Loop loop = loop_of(f);
  const auto carry = assignments(f.carry, "--carry", &Assignment::second);  // an output may become several inputs
  check_carry(session, carry);
  RunOptions options;
  options.steps = loop.steps;
  options.train_step = f.policy.train_step;
  options.observer = watch.observer();
  options.deadline = f.session.deadline_from_now();
  Outcome done;
  Progress progress(f.steps > 0 ? "steps" : "runs", loop.runs);
  for (int i = 0; i < loop.runs; ++i) {
    options.step = loop.first + (f.steps > 0 ? i : 0);
    watch.next_run(i);
    const auto begin = std::chrono::steady_clock::now();
    done.outputs = session.run(inputs, options);
    done.seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    collection.add(done.outputs);
    if (i + 1 < loop.runs)
      for (const auto& [out, in] : carry) inputs[in] = done.outputs.at(out);
    progress.reached(i + 1);
  }
  done.inputs = std::move(inputs);
  return done;
}

std::string time_line(const RunFlags& f, const std::vector<double>& seconds, int threads) {
  const std::string on = fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
  double total = 0;
  for (const double s : seconds) total += s;
  if (f.steps > 0)
    return fmt::format("time     {} for {} steps on {}, {} each (median)\n", readable_time(total), seconds.size(), on,
                       readable_time(median(seconds)));
  if (seconds.size() == 1) return fmt::format("time     {} on {}, planning included\n", readable_time(total), on);
  const std::vector<double> later(seconds.begin() + 1, seconds.end());
  return fmt::format("time     {} on {} (median of {}; the first, which plans, took {})\n",
                     readable_time(median(later)), on, later.size(), readable_time(seconds[0]));
}

Table profile_table(const std::vector<StepTotal>& totals) {
  Table table{{"operator", "calls", "time", "share", "FLOP/s"}, {}};
  double all = 0;
  for (const auto& t : totals) all += t.seconds;
  for (const auto& t : totals)
    table.rows.push_back({t.name, concat(t.count), readable_time(t.seconds),
                          fmt::format("{:.1f} %", 100 * t.seconds / std::max(all, 1e-12)),
                          t.seconds > 0 ? readable_count(t.flops / t.seconds) : "-"});
  return table;
}

void print_text(const RunFlags& f, const Session& session, const Outcome& done, const Watch& watch,
                const std::vector<std::string>& written) {
  const Format format = f.report.format();
  const Table outputs = values_table(session.outputs(), done.outputs);
  if (format == Format::csv) return print(render(outputs, format));
  const char* gap = format == Format::md ? "\n" : "";
  std::string text = model_line(f.model, session.graph());
  const auto section = [&](const char* title, const Table& t) {
    text += concat(title, "\n", gap, render(t, format, 2), gap);
  };
  if (!done.inputs.empty()) section("inputs", values_table(session.inputs(), done.inputs));
  section("outputs", outputs);
  text += time_line(f, done.seconds, session.threads());
  text += concat("memory   ", readable_bytes(static_cast<double>(peak_rss_bytes())), " at most resident\n");
  if (const Table t = profile_table(watch.statistics.by_operator()); !t.rows.empty()) section("operators", t);
  for (const auto& path : written) text += concat("wrote    ", path, "\n");
  print(text);
}

void print_json(const RunFlags& f, const Session& session, const Outcome& done, const Watch& watch,
                const std::vector<std::string>& written) {
  Json operators = Json::array();
  for (const auto& t : watch.statistics.by_operator())
    operators.push_back({{"operator", t.name}, {"calls", t.count}, {"seconds", t.seconds}, {"flops", t.flops}});
  const Json report = {{"schema", 1},
                       {"model", f.model},
                       {"threads", session.threads()},
                       {"inputs", values_json(session.inputs(), done.inputs)},
                       {"outputs", values_json(session.outputs(), done.outputs)},
                       {"seconds", done.seconds},
                       {"peak_rss_mb", static_cast<double>(peak_rss_bytes()) / 1e6},
                       {"operators", operators},
                       {"written", written}};
  print(text_of(report, 2) + "\n");
}

int run(const RunFlags& f) {
  loop_of(f);
  const auto policy = open_policy(f.policy.policy);
  if (f.steps == 0) f.policy.remark_on(policy.get());
  Session session = Session::open(f.model, policy, f.session.options());
  WrittenFiles files;
  files.keep(f.policy.policy);
  f.outputs.check_against(session.outputs(), files);
  Watch watch(f, session.graph(), files);
  Collection collection(f.collect, session.outputs(), files);
  const Outcome done = perform(session, f, make_inputs(f.inputs, session.graph()), watch, collection);
  f.outputs.write(done.outputs, files);
  collection.write(files);
  watch.write(files);
  if (f.report.format() == Format::json)
    print_json(f, session, done, watch, files.paths());
  else
    print_text(f, session, done, watch, files.paths());
  return files.exit_code();
}

}  // namespace

void add_run(Command& app) {
  auto f = std::make_shared<RunFlags>();
  Command sub = app.subcommand("run", "Run a model and show its outputs");
  sub.option("MODEL", f->model, "The model: .onnx, or .textproto").required();
  f->inputs.add_to(sub);
  f->outputs.add_to(sub);
  f->policy.add_to(sub);
  sub.option("--repeat N", f->repeat, "Run so many times and give the median time");
  sub.option("--steps N", f->steps, "Run so many times as one loop; --carry feeds outputs back").positive();
  sub.option("--carry OUT=IN", f->carry, "With --steps: the next step's input IN is this step's output OUT");
  sub.option("--collect OUT=FILE", f->collect,
             "With --steps: write an output of all steps, stacked on a new first axis");
  sub.flag("--profile", f->profile, "Show each operator's share of the time");
  sub.option("--trace FILE.json", f->trace, "Write a trace for chrome://tracing or Perfetto; implies --profile");
  sub.option("--dump-node NAME=FILE", f->dump_node, "Write what a node gives (by its name or its output's)");
  f->session.add_to(sub);
  f->report.add_to(sub);
  sub.does([f] { return run(*f); });
}

}  // namespace tessera
