// tessera ops [NAME]: the operators that are there, or everything one of them says of itself; --check runs examples.

#include "runtime/op/example.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/environment.h"
#include "tools/flags.h"
#include "tools/json.h"
#include "tools/operator_page.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

int list_all(const Registry& registry, Format format) {
  Table table{{"domain", "operator", "since", "gradient", "element types"}, {}};
  Json list = Json::array();
  for (const auto& [key, op] : registry) {
    table.rows.push_back(
        {domain_name(*op), std::string(op->name), concat(op->since), gradient_word(*op), element_types(*op)});
    if (format == Format::json) list.push_back(operator_json(*op));
  }
  print(format == Format::json ? text_of({{"schema", 1}, {"operators", list}}, 2) + "\n" : render(table, format));
  return 0;
}

// "Add", "ai.onnx::Add", "tessera::SliceGrad"; a bare name is looked for in every domain.
const OpDef& named(const Registry& registry, const std::string& name) {
  if (name.find("::") == std::string::npos)
    for (const auto& [key, op] : registry)
      if (op->name == name) return *op;
  return registry.at(name);
}

// Runs the examples of all operators, or of one.
int check_examples(const Registry& registry, const std::string& name, Format format) {
  std::size_t operators = 0, examples = 0;
  std::vector<std::string> failures;
  for (const auto& [key, op] : registry) {
    if (!name.empty() && op != &named(registry, name)) continue;
    ++operators;
    examples += op->examples.size();
    for (const auto& failure : failing_examples(*op)) {
      if (format != Format::json || !prints_results()) print_failure(concat(failure, "\n"));
      failures.push_back(failure);
    }
  }
  if (format == Format::json)
    print(text_of({{"schema", 1},
                   {"isa", isa_name()},
                   {"operators", operators},
                   {"examples", examples},
                   {"failures", failures}},
                  2) +
          "\n");
  else
    print(concat(operators, " operators, ", examples, " examples on ", isa_name(), ": ", failures.size(), " failed\n"));
  return failures.empty() ? 0 : 1;
}

int ops(const std::string& name, bool checks, const PluginFlags& plugins, const ReportFlags& report) {
  const Format format = report.format();
  const bool lists = name.empty() && !checks;
  check(lists || format != Format::csv, "--format csv: only the list of all operators is one table");
  const Registry registry = plugins.registry();
  if (checks) return check_examples(registry, name, format);
  if (name.empty()) return list_all(registry, format);
  const OpDef& op = named(registry, name);
  if (format != Format::json) return print(operator_page(op, format)), 0;
  Json page = {{"schema", 1}};
  page.update(operator_json(op));
  print(text_of(page, 2) + "\n");
  return 0;
}

}  // namespace

void add_ops(Command& app) {
  struct Flags {
    std::string name;
    bool checks = false;
    PluginFlags plugins;
    ReportFlags report;
  };
  const auto f = std::make_shared<Flags>();
  Command sub = app.subcommand("ops", "List the operators, or show one");
  sub.option("NAME", f->name, "An operator: Add, or domain::Name");
  sub.flag("--check", f->checks, "Run the examples of the operators on this machine; exit 1 if one does not hold");
  f->plugins.add_to(sub);
  f->report.add_to(sub);
  sub.does([f] { return ops(f->name, f->checks, f->plugins, f->report); });
}

}  // namespace tessera
