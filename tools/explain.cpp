// tessera explain MODEL --policy P: which rule won at every attention site, which lost and why, and what it will cost.

#include "runtime/base/aside_file.h"
#include "runtime/load/load.h"
#include "runtime/session/open_policy.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/explain/head_mask.h"
#include "tools/explain/lock.h"
#include "tools/explain/report.h"
#include "tools/inputs.h"
#include "tools/json.h"
#include "tools/outputs.h"
#include "tools/summary.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

struct ExplainFlags {
  std::string model, lock, out;
  HeadOfSite mask;
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
  check(f.mask.site.empty() == f.out.empty(), "--mask SITE and -o FILE.png go together");
  check(f.out.empty() || f.out.ends_with(".png"), "-o: '", f.out, "' must end in .png");
  check(f.lock.empty() || f.lock.ends_with(".json"), "--lock: '", f.lock, "' must end in .json");
  WrittenFiles files;
  files.keep(f.policy.policy);
  if (!f.lock.empty()) files.claim(f.lock, "--lock");
  if (!f.out.empty()) files.claim(f.out, "--out");
  const auto policy = open_policy(f.policy.policy);
  const Registry registry = registry_for(f.session.plugin, policy.get());
  const Graph loaded = load(f.model, registry);
  Explanation x{f.model, *policy, f.policy.position(), {}};
  PolicyUse use = policy_use(policy.get(), loaded, registry, x.at);
  use.trail = &x.trail;
  std::optional<TileMask> mask;
  try {
    const NamedTensors inputs =
        f.mask.site.empty() ? given_inputs(f.inputs, loaded) : make_inputs(f.inputs, loaded, Missing::random);
    const Binding binding = binding_of(f.inputs, loaded, inputs);
    const Graph bound = graph_after(Stage::policy, loaded, binding, registry, f.session.passes(), use);
    if (!f.mask.site.empty()) mask = mask_of_head(bound, registry, inputs, f.mask, f.session.options());
  } catch (Error& e) {
    throw in_model(e, f.model);
  }
  if (mask) files.add(f.out, [&] { draw_mask(*mask).write_png(f.out); });
  if (!f.lock.empty())
    files.add(f.lock, [&] { write_text(f.lock, text_of(locked_policy(*policy, loaded, f.lock), 2) + "\n"); });
  if (f.report.format() == Format::json) {
    print(text_of(explanation_json(x), 2) + "\n");
    return files.exit_code();
  }
  print(model_line(f.model, loaded) + explanation_text(x, f.report.format()));
  for (const auto& path : files.paths()) print(concat("wrote      ", path, "\n"));
  return files.exit_code();
}

}  // namespace

void add_explain(Command& app) {
  auto f = std::make_shared<ExplainFlags>();
  Command sub = app.subcommand("explain", "Show what a policy does to each attention of a model, and why");
  sub.option("MODEL", f->model, "The model: .onnx, or .textproto").required();
  f->policy.add_to(sub).required();
  sub.option("--lock FILE.json", f->lock, "Write the resolved policy, which refuses other models and other versions");
  const Option mask = sub.option("--mask SITE", f->mask.site,
                                 "Draw which tiles of keys the tiles of queries of one head attend to; -o says where");
  sub.option("--head H", f->mask.head, "The query head to draw, from 0").shows_default().needs(mask);
  sub.option("--batch B", f->mask.batch, "The entry of the batch to draw, from 0").shows_default().needs(mask);
  sub.option("-o,--out FILE.png", f->out, "The picture that --mask draws");
  sub.option("--threads N", f->session.threads, "Threads to run with for --mask; 0: all the process may use");
  f->inputs.add_to(sub);
  f->session.PluginFlags::add_to(sub);
  sub.option("--pass no-NAME", f->session.pass, "Turn a pass off");
  f->report.add_to(sub, {"table", "md", "json"});
  sub.does([f] { return explain(*f); });
}

}  // namespace tessera
