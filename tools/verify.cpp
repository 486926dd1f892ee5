// tessera verify DIR...: does a model give the stored outputs for the stored inputs?
#include <fmt/format.h>
#include <filesystem>
#include <fstream>

#include "runtime/session/open_policy.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/compare_tensors.h"
#include "tools/data_set.h"
#include "tools/flags.h"
#include "tools/inputs.h"
#include "tools/json.h"
#include "tools/npz.h"
#include "tools/outputs.h"
#include "tools/progress.h"
#include "tools/tensor_files.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

struct VerifyFlags {
  std::vector<std::string> folders;
  std::optional<double> rtol, atol, rel_max;
  std::string save;
  PolicyFlags policy;
  SessionFlags session;
  ReportFlags report;
};

// One stored output against what the model gave.
struct Line {
  std::string folder, set, output;
  Tensor actual;
  Comparison comparison;
};

double tolerance_in(const Json& value, const std::string& key, const std::string& path) {
  const bool number = value.is_number() && value.get<double>() >= 0;
  check(number, "'", path, "': ", key, " must be a number that is not negative");
  return value.get<double>();
}

Tolerance tolerance_of(const std::string& folder, const VerifyFlags& f) {
  Tolerance t;
  const std::string path = folder + "/data.json";
  if (std::ifstream file(path); file) {
    const Json data = Json::parse(file, nullptr, false);
    check(data.is_object(), "'", path, "' is no JSON object");
    if (data.contains("rtol")) t.rtol = tolerance_in(data["rtol"], "rtol", path);
    if (data.contains("atol")) t.atol = tolerance_in(data["atol"], "atol", path);
    if (data.contains("rel_max")) t.rel_max = tolerance_in(data["rel_max"], "rel_max", path);
  }
  t.rtol = f.rtol.value_or(t.rtol);
  t.atol = f.atol.value_or(t.atol);
  if (f.rel_max) t.rel_max = f.rel_max;
  return t;
}

void verify_set(Session& session, const std::string& folder, const std::string& set, const VerifyFlags& f,
                std::vector<Line>& lines) {
  const NamedTensors inputs = stored_inputs(set, session.graph());
  std::vector<std::string> names;
  for (const auto& o : session.outputs()) names.push_back(o.name);
  const auto expected = paired(read_numbered(set, "output"), names);
  check(!expected.empty(), "there is no output_0.pb");
  RunOptions options;
  options.deadline = f.session.deadline_from_now();
  const StepPosition at = f.policy.position();
  options.step = at.step;
  options.steps = at.steps;
  options.train_step = at.train_step;
  const NamedTensors actual = session.run(inputs, options);
  const Tolerance tolerance = tolerance_of(folder, f);
  for (const auto& name : names) {
    const auto it = expected.find(name);
    if (it == expected.end()) continue;
    const std::string set_name = std::filesystem::path(set).filename().string();
    lines.push_back({folder, set_name, name, actual.at(name), compare(actual.at(name), it->second, tolerance)});
  }
}

void verify_folder(const std::string& folder, const std::shared_ptr<const Policy>& policy, const VerifyFlags& f,
                   std::vector<Line>& lines) {
  try {
    const auto sets = data_sets(folder);
    check(!sets.empty(), "there is no test_data_set_0");
    const std::string text = folder + "/model.textproto";
    std::error_code unreadable;
    const std::string model = std::filesystem::exists(text, unreadable) ? text : folder + "/model.onnx";
    Session session = Session::open(model, policy, f.session.options());
    if (!f.save.empty())
      for (const auto& o : session.outputs()) check_format(f.save, {o.dtype});
    for (const auto& set : sets) try {
        verify_set(session, folder, set, f, lines);
      } catch (Error& e) {
        throw e.in("data set '" + set + "'");
      }
  } catch (Error& e) {
    throw e.in("folder '" + folder + "'");
  }
}

void print_lines(const std::vector<Line>& lines, const ReportFlags& report) {
  if (report.format() == Format::json) {
    Json list = Json::array();
    for (const auto& l : lines)
      list.push_back({{"folder", l.folder},
                      {"data_set", l.set},
                      {"output", l.output},
                      {"ok", l.comparison.ok()},
                      {"max_abs", l.comparison.max_abs},
                      {"max_rel", l.comparison.max_rel},
                      {"differing", l.comparison.differing},
                      {"problem", l.comparison.problem}});
    return print(text_of({{"schema", 1}, {"outputs", list}}, 2) + "\n");
  }
  Table table{{"folder", "data set", "output", "type", "shape", "max abs", "max rel", "verdict"}, {}};
  for (const auto& l : lines)
    if (prints_results() || !l.comparison.ok())
      table.rows.push_back({l.folder, l.set, l.output, concat(l.actual.dtype()), concat(l.actual.shape()),
                            fmt::format("{:.1e}", l.comparison.max_abs), fmt::format("{:.1e}", l.comparison.max_rel),
                            l.comparison.ok() ? "ok" : l.comparison.problem});
  if (!table.rows.empty()) print_failure(render(table, report.format()));
}

// Every output of every data set, as DATA_SET/OUTPUT (with several folders FOLDER/DATA_SET/OUTPUT).
void save_lines(const std::vector<Line>& lines, const VerifyFlags& f) {
  std::map<std::string, Tensor> arrays;
  for (const auto& l : lines) arrays[(f.folders.size() > 1 ? l.folder + "/" : "") + l.set + "/" + l.output] = l.actual;
  write_npz(f.save, arrays);
}

int verify_all(const VerifyFlags& f) {
  check(f.save.empty() || f.save.ends_with(".npz"), "--save: '", f.save, "' must end in .npz");
  WrittenFiles files;
  if (!f.save.empty()) files.claim(f.save, "--save");
  for (const auto& [flag, x] : {std::pair("--rtol", f.rtol), {"--atol", f.atol}, {"--rel-max", f.rel_max}})
    check(x.value_or(0) >= 0, flag, " must not be negative, got ", x.value_or(0));
  const auto policy = open_policy(f.policy.policy);
  f.policy.remark_on(policy.get());
  std::vector<Line> lines;
  int code = 0;
  Progress progress("folders", static_cast<std::int64_t>(f.folders.size()));
  for (std::size_t i = 0; i < f.folders.size(); ++i) {
    const std::size_t before = lines.size();
    try {
      verify_folder(f.folders[i], policy, f, lines);
    } catch (const Error& e) {
      const int failed = report(e);
      if (code == 0) code = failed;
    }
    for (std::size_t l = before; l < lines.size(); ++l)
      if (!lines[l].comparison.ok() && code == 0) code = exit_differ;
    progress.reached(static_cast<std::int64_t>(i + 1));
  }
  print_lines(lines, f.report);
  if (!f.save.empty()) files.add(f.save, [&] { save_lines(lines, f); });
  return code != 0 ? code : files.exit_code();
}

}  // namespace

void add_verify(Command& app) {
  auto f = std::make_shared<VerifyFlags>();
  Command sub = app.subcommand("verify", "Compare a model's outputs with stored ones");
  sub.option("DIR", f->folders, "Folders with model.onnx and test_data_set_*/{input,output}_N.pb").required();
  sub.option("--rtol X", f->rtol, "Relative tolerance; 1e-3 unless data.json says otherwise");
  sub.option("--atol X", f->atol, "Absolute tolerance; 1e-7 unless data.json says otherwise");
  sub.option("--rel-max X", f->rel_max, "Also pass errors up to X times the output's largest value");
  sub.option("--save FILE.npz", f->save, "Write all outputs of all data sets");
  f->policy.add_to(sub);
  f->session.add_to(sub);
  f->report.add_to(sub);
  sub.does([f] { return verify_all(*f); });
}

}  // namespace tessera
