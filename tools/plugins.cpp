// tessera plugins list | info NAME | doctor [PATH...]: the plugins there are, what one says of itself, why one fails.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "runtime/base/log.h"
#include "runtime/session/plugin_host.h"
#include "runtime/session/plugin_host/search_path.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/flags.h"
#include "tools/json.h"
#include "tools/operator_page.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

// A plugin file and what became of it.
struct Found {
  std::string path;
  const Plugin* plugin = nullptr;  // null: it cannot be loaded, and `problems` says why
  std::vector<std::string> problems;
};

Found try_loading(const std::string& library) {
  Found found{library, nullptr, {}};
  try {
    found.plugin = &load_plugin(library);
    found.path = found.plugin->path;
  } catch (const Error& e) {
    found.problems.emplace_back(e.what());
  }
  return found;
}

std::string qualified(const OpDef& op) { return concat(domain_name(op), "::", op.name); }

// Without those that methods made.
std::vector<const OpDef*> own_operators(const Plugin& plugin) {
  std::vector<const OpDef*> ops;
  for (const OpDef* op : plugin.ops)
    if (!method_of(*op)) ops.push_back(op);
  return ops;
}

template <class T, class F>
std::string joined(const std::vector<T>& items, F text) {
  std::string all;
  for (const auto& item : items) all += (all.empty() ? "" : ", ") + text(*item);
  return all.empty() ? "-" : all;
}

std::string operator_names(const Plugin& p) {
  return joined(own_operators(p), [](const OpDef& op) { return qualified(op); });
}
std::string method_names(const Plugin& p) {
  return joined(p.methods, [](const AttentionMethod& m) { return m.name; });
}

Json parameter_json(const MethodParameter& p) {
  const auto bound = [](double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); };
  return {{"name", p.name},
          {"type", name(p.type)},
          {"required", p.fallback == "required"},
          {"default", p.fallback.empty() || p.fallback == "required" ? Json(nullptr) : Json(p.fallback)},
          {"low", bound(p.low)},
          {"high", bound(p.high)},
          {"choices", alternatives(p.choices)},
          {"doc", p.doc}};
}

Json method_json(const AttentionMethod& m) {
  Json parameters = Json::array();
  for (const auto& p : m.parameters) parameters.push_back(parameter_json(p));
  return {{"name", m.name},
          {"version", m.version},
          {"doc", m.doc},
          {"source", m.source},
          {"kind", m.select ? "selector" : "full"},
          {"gradient", m.select != nullptr || m.backward != nullptr},
          {"parameters", parameters},
          {"readme", readme_of(m)}};
}

Json plugin_json(const Plugin& p) {
  Json ops = Json::array(), methods = Json::array();
  for (const OpDef* op : own_operators(p)) ops.push_back(operator_json(*op));
  for (const AttentionMethod* m : p.methods) methods.push_back(method_json(*m));
  return {{"name", p.name}, {"version", p.version}, {"doc", p.doc},
          {"path", p.path}, {"operators", ops},     {"methods", methods}};
}

void remark_on_missing_folders() {
  for (const auto& folder : missing_plugin_folders())
    remark("TESSERA_PLUGIN_PATH: there is no folder '" + folder + "'");
}

int list(Format format) {
  remark_on_missing_folders();
  Table table{{"plugin", "version", "operators", "methods", "path"}, {}};
  Json plugins = Json::array();
  for (const auto& file : plugin_files()) {
    const Found f = try_loading(file);
    if (f.plugin) {
      const Plugin& p = *f.plugin;
      table.rows.push_back({p.name, p.version, operator_names(p), method_names(p), p.path});
      if (format == Format::json) plugins.push_back(plugin_json(p));
    } else {
      const std::string name = std::filesystem::path(file).stem().string();
      table.rows.push_back({name, "-", "cannot be loaded: `tessera plugins doctor` says why", "-", file});
      plugins.push_back({{"name", name}, {"path", file}, {"error", f.problems[0]}});
    }
  }
  if (format == Format::json)
    print(text_of({{"schema", 1}, {"plugins", plugins}}, 2) + "\n");
  else
    print(render(table, format));
  return 0;
}

std::string range_text(const MethodParameter& p) {
  if (!p.choices.empty()) return p.choices;
  if (std::isfinite(p.low) && std::isfinite(p.high)) return concat(p.low, " to ", p.high);
  if (std::isfinite(p.low)) return concat(">= ", p.low);
  return std::isfinite(p.high) ? concat("<= ", p.high) : "any";
}

std::string method_page(const AttentionMethod& m, Format format) {
  const bool gradient = m.select || m.backward;
  std::string text =
      concat(m.name, "  attention method, version ", m.version, "\n\n", m.doc, "\n\nsource     ", m.source,
             "\nkind       ", m.select ? "selector of key tiles" : "full method",
             m.coarse_gate ? ", with an optional gate input" : "", "\ngradient   ", gradient ? "yes" : "missing", "\n");
  Table parameters{{"name", "type", "default", "range", "meaning"}, {}};
  for (const auto& p : m.parameters)
    parameters.rows.push_back(
        {p.name, std::string(name(p.type)), p.fallback.empty() ? "-" : p.fallback, range_text(p), p.doc});
  if (!parameters.rows.empty())
    text += concat("\nparameters\n", format == Format::md ? "\n" : "", render(parameters, format, 2));
  Table inputs{{"input", "shape"}, {}};
  for (const auto& i : m.inputs) inputs.rows.push_back({i.name, i.doc});
  if (!inputs.rows.empty())
    text += concat("\ninputs of its own\n", format == Format::md ? "\n" : "", render(inputs, format, 2));
  const std::string readme = readme_of(m);
  if (!readme.empty()) text += concat("\n", readme, readme.ends_with('\n') ? "" : "\n");
  return text;
}

// By name or path; else the plugin on the path that brings an operator or a method of that name.
const Plugin& plugin_named(const std::string& library) {
  try {
    return load_plugin(find_plugin(library));
  } catch (const Error&) {
    for (const auto& file : plugin_files())
      if (const Found f = try_loading(file); f.plugin) {
        for (const OpDef* op : f.plugin->ops)
          if (op->name == library || qualified(*op) == library) return *f.plugin;
        for (const AttentionMethod* m : f.plugin->methods)
          if (m->name == library) return *f.plugin;
      }
    throw;
  }
}

int info(const std::string& library, Format format) {
  const Plugin& p = plugin_named(library);
  if (format == Format::json) {
    Json report = plugin_json(p);
    report["schema"] = 1;
    print(text_of(report, 2) + "\n");
    return 0;
  }
  std::string text = concat(p.name, " ", p.version, "  ", p.path, "\n\n", p.doc, "\n");
  for (const AttentionMethod* m : p.methods) text += "\n" + method_page(*m, format);
  for (const OpDef* op : own_operators(p)) text += "\n" + operator_page(*op, format);
  print(text);
  return 0;
}

std::string lines_of(const Found& f) {
  if (f.problems.empty()) return concat("ok      ", f.plugin->name, " ", f.plugin->version, "  ", f.path, "\n");
  std::string text = concat("failed  ", f.plugin ? f.plugin->name + "  " : "", f.path, "\n");
  for (const auto& problem : f.problems) {
    std::string line;
    for (const char c : problem) line += c == '\n' ? std::string("\n  ") : std::string(1, c);
    text += concat("  ", line, "\n");
  }
  return text;
}

int doctor(const std::vector<std::string>& libraries, Format format) {
  remark_on_missing_folders();
  std::vector<Found> all;
  for (const auto& library : libraries.empty() ? plugin_files() : libraries) {
    all.push_back(try_loading(library));
    if (all.back().plugin) all.back().problems = self_test(*all.back().plugin);
  }
  std::string text;
  Json plugins = Json::array();
  bool sound = true;
  for (const Found& f : all) {
    sound = sound && f.problems.empty();
    text += lines_of(f);
    if (!prints_results() && !f.problems.empty()) print_failure(lines_of(f));
    plugins.push_back({{"path", f.path},
                       {"name", f.plugin ? Json(f.plugin->name) : Json(nullptr)},
                       {"ok", f.problems.empty()},
                       {"problems", f.problems}});
  }
  if (all.empty()) {
    text = "no plugins found; searched:\n";
    for (const auto& folder : plugin_folders()) text += concat("  ", folder, "\n");
  }
  print(format == Format::json ? text_of({{"schema", 1}, {"plugins", plugins}}, 2) + "\n" : text);
  return sound ? 0 : static_cast<int>(Code::plugin);
}

}  // namespace

void add_plugins(Command& app) {
  struct Flags {
    std::string name;
    std::vector<std::string> libraries;
    ReportFlags report;
  };
  const auto f = std::make_shared<Flags>();
  Command sub = app.subcommand("plugins", "List plugins, show the documentation of one, find out why one fails");
  sub.footer(
      "The plugin path: folders named in TESSERA_PLUGIN_PATH (with ':' between them), then `plugins` beside the "
      "program, `../lib/tessera/plugins` from there, and `tessera/plugins` beside the library");
  Command list_sub = sub.subcommand("list", "The plugins on the plugin path");
  Command info_sub = sub.subcommand("info", "All that a plugin says of itself");
  info_sub.option("NAME", f->name, "A plugin by name or file, or one of its operators or methods").required();
  Command doctor_sub = sub.subcommand("doctor", "Load plugins and run their examples and tests; exit 5 if any fails");
  doctor_sub.option("PATH", f->libraries, "Plugins by file or name; all on the plugin path when none is given");
  f->report.add_to(list_sub);
  f->report.add_to(info_sub, {"table", "md", "json"});
  f->report.add_to(doctor_sub, {"table", "json"});
  list_sub.does([f] { return list(f->report.format()); });
  info_sub.does([f] { return info(f->name, f->report.format()); });
  doctor_sub.does([f] { return doctor(f->libraries, f->report.format()); });
}

}  // namespace tessera
