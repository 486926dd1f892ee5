// tessera explain MODEL --policy P: which rule won at every attention site, which lost and why, and what it will cost.
#include <CLI/CLI.hpp>

#include "runtime/base/aside_file.h"
#include "runtime/load/load.h"
#include "runtime/session/open_policy.h"
#include "tools/command_line.h"
#include "tools/explain_report.h"
#include "tools/inputs.h"
#include "tools/json.h"
#include "tools/policy_lock.h"
#include "tools/summary.h"

namespace tessera {
namespace {

struct ExplainFlags {
  std::string model, lock;
  InputFlags inputs;
  PolicyFlags policy;
  SessionFlags session;
  ReportFlags report;
};

void write_text(const std::string& path, const std::string& text) {
  AsideFile file(path);
  file.write(text);
  file.commit();
}

int explain(const ExplainFlags& f) {
  const auto policy = open_policy(f.policy.policy);
  const Registry registry = registry_for(f.session.plugin, policy.get());
  const Graph loaded = load(f.model, registry);
  Explanation x{f.model, *policy, f.policy.position(), {}};
  PolicyUse use = policy_use(policy.get(), loaded, registry, x.at);
  use.trail = &x.trail;
  try {
    const Binding binding = binding_of(f.inputs, loaded, given_inputs(f.inputs, loaded));
    graph_after(Stage::policy, loaded, binding, registry, f.session.passes(), use);
  } catch (Error& e) {
    throw e.in("model '" + f.model + "'");
  }
  if (!f.lock.empty()) write_text(f.lock, text_of(locked_policy(*policy, loaded, f.lock), 2) + "\n");
  if (f.report.quiet) return 0;
  if (f.report.format() == Format::json) {
    print(text_of(explanation_json(x), 2) + "\n");
    return 0;
  }
  print(model_line(f.model, loaded) + explanation_text(x, f.report.format()));
  if (!f.lock.empty()) print(concat("wrote      ", f.lock, "\n"));
  return 0;
}

}  // namespace

void add_explain(CLI::App& app, Action& action) {
  auto f = std::make_shared<ExplainFlags>();
  CLI::App& sub = *app.add_subcommand("explain", "Show what a policy does to each attention of a model, and why");
  sub.add_option("MODEL", f->model, "The model: .onnx, or .textproto")->required();
  f->policy.add_to(sub);
  sub.get_option("--policy")->required();
  sub.add_option("--lock", f->lock, "Write the resolved policy, which refuses other models and other versions")
      ->type_name("FILE.json");
  f->inputs.add_to(sub);
  f->session.PluginFlags::add_to(sub);
  add_repeatable(sub, "--pass", f->session.pass, "Turn a pass off", "no-NAME");
  f->report.add_to(sub, {"table", "md", "json"});
  sub.callback([f, &action] { action = [f] { return explain(*f); }; });
}

}  // namespace tessera
