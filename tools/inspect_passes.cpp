#include "tools/inspect_passes.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/pass/passes.h"
#include "tools/json.h"

namespace tessera {
namespace {

constexpr std::size_t labels = 8;  // columns

std::string line(std::string_view label, std::string_view text, const std::string& indent) {
  return concat(indent, label, std::string(labels - label.size(), ' '), text, "\n");
}

// Each statement on a line of its own.
std::string graph_lines(std::string_view label, std::string_view text, const std::string& indent) {
  std::string out;
  for (std::size_t end = 0; end != text.npos; label = {}) {
    end = text.find("; ");
    out += line(label, text.substr(0, end), indent);
    if (end != text.npos) text.remove_prefix(end + 2);
  }
  return out;
}

}  // namespace

// One page per pass.
std::string passes_text(Format format) {
  const bool md = format == Format::md;
  const std::string indent(md ? 4 : 2, ' ');
  std::string text;
  for (const PassDef* pass : all_passes()) {
    text += concat(text.empty() ? "" : "\n", md ? "### " : "", pass->name, always_on(pass->name) ? " (always on)" : "",
                   md ? "\n\n" : "\n  ", pass->doc, "\n");
    text += md ? concat("\nSource: ", pass->source, "\n\n") : line("source", pass->source, indent);
    std::string_view inputs;
    for (const PassExample& e : pass->examples) {
      if (e.inputs != inputs) text += line("inputs", e.inputs, indent);
      inputs = e.inputs;
      text += graph_lines("before", e.before, indent) + graph_lines("after", e.after, indent);
    }
  }
  return text;
}

Json passes_json() {
  Json list = Json::array();
  for (const PassDef* pass : all_passes()) {
    Json examples = Json::array();
    for (const PassExample& e : pass->examples)
      examples.push_back({{"inputs", e.inputs}, {"before", e.before}, {"after", e.after}});
    list.push_back({{"name", pass->name},
                    {"always_on", always_on(pass->name)},
                    {"doc", pass->doc},
                    {"source", pass->source},
                    {"examples", examples}});
  }
  return {{"schema", 1}, {"passes", list}};
}

Table rewrites_table(const std::vector<StageRuns>& runs) {
  Table table{{"pass"}, {}};
  std::vector<const PassDef*> passes;
  const auto row_of = [&](const PassRun& run) {
    const auto at = std::find(passes.begin(), passes.end(), run.pass) - passes.begin();
    if (at == std::ssize(passes)) {
      passes.push_back(run.pass);
      table.rows.push_back({std::string(run.pass->name)});
      table.rows.back().resize(runs.size() + 1, "-");
      if (run.off) table.rows.back().emplace_back("turned off");
    }
    return static_cast<std::size_t>(at);
  };
  for (std::size_t s = 0; s < runs.size(); ++s) {
    table.columns.emplace_back(name(runs[s].stage));
    for (const PassRun& run : runs[s].passes) {
      auto& row = table.rows[row_of(run)];
      if (!run.off) row[s + 1] = concat(run.rewrites);
    }
  }
  // A column for what was turned off, where something was.
  for (const auto& row : table.rows) table.columns.resize(std::max(table.columns.size(), row.size()));
  for (auto& row : table.rows) row.resize(table.columns.size());
  return table;
}

Json rewrites_json(const std::vector<StageRuns>& runs) {
  Json list = Json::array();
  for (const StageRuns& stage : runs)
    for (const PassRun& run : stage.passes)
      list.push_back(
          {{"stage", name(stage.stage)}, {"pass", run.pass->name}, {"rewrites", run.rewrites}, {"off", run.off}});
  return list;
}

}  // namespace tessera
