#include "tools/flags.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <tuple>

#include "runtime/base/nearest.h"
#include "runtime/exec/workers.h"
#include "runtime/session/plugin_host.h"
#include "tools/command.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

std::vector<std::string> symbol_names(const Graph& g) {
  std::vector<std::string> names;
  for (const auto& i : g.inputs)
    if (i.declared)
      for (const auto& d : *i.declared)
        if (!d.symbol.empty() && std::find(names.begin(), names.end(), d.symbol) == names.end())
          names.push_back(d.symbol);
  return names;
}

std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t n = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 0) return {};
  return n;
}

// "1x3x8"; "" or "scalar" is rank 0.
Shape parse_shape(const std::string& text, const std::string& flag) {
  Shape shape;
  if (text == "scalar") return shape;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find('x', at), text.size());
    shape.push_back(parse_count(text.substr(at, end - at), flag));
    at = end + 1;
  }
  element_count(shape);
  return shape;
}

}  // namespace

std::vector<std::string> input_names(const Graph& g) {
  std::vector<std::string> names;
  for (const auto& i : g.inputs) names.push_back(g.at(i.value).name);
  return names;
}

void ShapeFlags::add_to(Command& app) {
  app.option("--shape NAME=DIMS", shape, "Shape of an input, as 1x3x8 (\"scalar\" for rank 0)");
  app.option("--set SYMBOL=N", set, "Size of a symbolic dim");
}

void InputFlags::add_to(Command& app) {
  app.option("--input NAME=FILE|KIND", input,
             "An input: a file (.npy, .npz, .pb), or made: zeros; random:normal,seed=7; random:uniform,seed=7; "
             "random:range:LO,HI,seed=7 (integers, LO <= x < HI)");
  app.option("--inputs DIR|FILE.npz", inputs, "Inputs from a folder of input_N.pb (test_data_set_0) or an .npz file");
  ShapeFlags::add_to(app);
}

Binding ShapeFlags::binding(const Graph& graph) const {
  Binding b;
  const auto inputs = input_names(graph), symbols = symbol_names(graph);
  for (const auto& [name, value] : assignments(shape, "--shape")) {
    const bool known = std::find(inputs.begin(), inputs.end(), name) != inputs.end();
    check(known, "--shape: the model has no input '", name, "'", nearest_or_all(name, inputs));
    b.shapes[name] = parse_shape(value, "--shape " + name);
  }
  for (const auto& [name, value] : assignments(set, "--set")) {
    const bool known = std::find(symbols.begin(), symbols.end(), name) != symbols.end();
    check(known, "--set: the model's inputs have no symbol '", name, "'", nearest_or_all(name, symbols));
    b.symbols[name] = parse_count(value, "--set " + name);
  }
  return b;
}

void SessionFlags::add_to(Command& app) {
  app.option("--threads N", threads, "Threads to use; 0: all the process may use");
  add_limits_to(app);
}

void PluginFlags::add_to(Command& app) {
  app.option("--plugin NAME|LIB", plugin, "A plugin, by name (`tessera plugins list`) or file");
}

Registry PluginFlags::registry() const { return registry_with(load_plugins(plugin)); }

void StepFlags::add_to(Command& app) {
  app.option("--step i/n", step, "The position in a loop of n runs, from 0, that policies are to see");
  app.option("--train-step N", train_step, "The step of training that policies' schedules are at; else their end")
      .checked([](const std::string& n) { return n.starts_with('-') ? concat("must be from 0, got ", n) : ""; });
}

Option PolicyFlags::add_to(Command& app) {
  const Option option =
      app.option("--policy FILE", policy, "Which attention gets which method: a policy, or a lock of one");
  StepFlags::add_to(app);
  return option;
}

StepPosition StepFlags::position() const {
  StepPosition at;
  at.train_step = train_step;
  if (!step.empty()) std::tie(at.step, at.steps) = parse_step(step, "--step");
  return at;
}

void StepFlags::remark_on(const Policy* policy) const {
  if (policy && step.empty() && follows_steps(*policy))
    remark(concat("policy '", policy->path, "' has rules for steps; this is step 0 of 1, --step i/n sets another"));
}

void SessionFlags::add_limits_to(Command& app) {
  PluginFlags::add_to(app);
  app.option("--pass no-NAME", pass, "Turn a pass off (`tessera inspect --passes` lists them)");
  app.option("--deadline SECONDS", deadline, "Give up after so many seconds");
  app.option("--memory-limit BYTES", memory_limit, "Most memory a run may take for its tensors: 512M, 2G");
}

PassOptions SessionFlags::passes() const {
  PassOptions options;
  for (const auto& p : pass) {
    check(p.starts_with("no-"), "--pass ", p, ": passes are on; write no-", p, " to turn it off");
    options.disabled.insert(p.substr(3));
  }
  return options;
}

SessionOptions SessionFlags::options() const {
  SessionOptions o;
  o.threads = checked_threads(threads);
  o.plugins = plugin;
  o.disabled_passes = passes().disabled;
  if (!memory_limit.empty()) o.memory_limit = parse_bytes(memory_limit, "--memory-limit");
  return o;
}

Deadline SessionFlags::deadline_from_now() const {
  if (!deadline) return {};
  check(*deadline > 0 && *deadline < 1e9, "--deadline must be a positive number of seconds, got ", *deadline);
  const auto wait = std::chrono::duration<double>(*deadline);
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(wait);
}

void ReportFlags::add_to(Command& app, std::vector<std::string> formats) {
  std::string names;
  for (const auto& f : formats) names += (names.empty() ? "" : "|") + f;
  app.option("--format " + names, format_name, "How to print; table if not given")
      .checked([formats, names](const std::string& text) {
        want_results();
        const bool known = std::find(formats.begin(), formats.end(), text) != formats.end();
        return known ? std::string() : "no format '" + text + "', only " + names;
      });
  add_quiet(app);
}

void add_quiet(Command& app) {
  app.flag("--quiet", want_quiet, "Print nothing but errors, and results where --format asks for them");
}

Assignment split_assignment(const std::string& text, const std::string& flag) {
  const auto at = text.find('=');
  check(at != std::string::npos && at > 0 && at + 1 < text.size(), flag, " ", text, ": expected NAME=VALUE");
  return {text.substr(0, at), text.substr(at + 1)};
}

std::vector<Assignment> assignments(const std::vector<std::string>& texts, const std::string& flag,
                                    std::string Assignment::*unique) {
  std::vector<Assignment> found;
  for (const auto& text : texts) {
    found.push_back(split_assignment(text, flag));
    const std::string& name = found.back().*unique;
    check(std::ranges::count(found, name, unique) == 1, flag, ": '", name, "' is given twice");
  }
  return found;
}

std::pair<int, int> parse_step(const std::string& text, const std::string& flag) {
  const auto slash = text.find('/');
  check(slash != std::string::npos, flag, " ", text, ": expected i/n, as 3/50");
  const auto i = parse_count(text.substr(0, slash), flag), n = parse_count(text.substr(slash + 1), flag);
  check(i < n, flag, " ", text, ": i counts from 0 and must be below n");
  check(n <= 1'000'000, flag, " ", text, ": n may be 1000000 at most");
  return {static_cast<int>(i), static_cast<int>(n)};
}

std::int64_t parse_count(const std::string& text, const std::string& flag) {
  const auto n = whole_number(text);
  check(n.has_value(), flag, ": '", text, "' is no whole number from 0");
  return *n;
}

int checked_threads(std::int64_t n) {
  check(n >= 0 && n <= Workers::most_threads, "--threads must be from 0 to ", Workers::most_threads, ", got ", n);
  return static_cast<int>(n);
}

std::size_t parse_bytes(const std::string& text, const std::string& flag) {
  static constexpr std::string_view units = "KMGTkmgt";
  std::string digits = text;
  if (digits.ends_with('B')) digits.pop_back();
  if (digits.ends_with('i')) digits.pop_back();
  const auto unit = digits.empty() ? std::string_view::npos : units.find(digits.back());
  if (unit != std::string_view::npos) digits.pop_back();
  const auto n = whole_number(digits);
  check(n.has_value(), flag, ": '", text, "' is no number of bytes; write 4096, 512K, 64M, 2G or 1T");
  const std::size_t bytes = static_cast<std::size_t>(*n),
                    shift = unit == std::string_view::npos ? 0 : 10 * (unit % 4 + 1);
  check(bytes <= std::numeric_limits<std::size_t>::max() >> shift, flag, ": '", text, "' is too much");
  return bytes << shift;
}

}  // namespace tessera
