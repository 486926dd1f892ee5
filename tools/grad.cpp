// tessera grad MODEL: gradients of an output with respect to inputs, weights or values inside.

#include "runtime/load/load.h"
#include "runtime/plan/gradients_of.h"
#include "runtime/session/open_policy.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/inputs.h"
#include "tools/json.h"
#include "tools/outputs.h"
#include "tools/summary.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

struct GradFlags {
  std::string model, loss, dout;
  std::vector<std::string> wrt;
  InputFlags inputs;
  PolicyFlags policy;
  SessionFlags session;
  OutputFlags outputs;
  ReportFlags report;
};

// Gives the added input its value: what the loss's derivative with respect to the output is.
void give_seed(const GradFlags& f, const Gradients& gradients, NamedTensors& inputs) {
  if (gradients.seed.empty()) {
    check(f.dout.empty(), "--dout: output '", f.loss, "' is a scalar, which is a loss by itself");
    return;
  }
  const Value& seed = *gradients.graph.find(gradients.seed);
  if (f.dout.empty())
    throw Error(Code::bad_input, concat("output '", f.loss, "' ", *seed.shape, " is no scalar"))
        .hint("give what to multiply it with before the sum: --dout FILE, or --dout random:normal,seed=1");
  inputs[gradients.seed] = tensor_from(f.dout, "dout", seed.dtype, *seed.shape);
}

int grad(const GradFlags& f) {
  const SessionOptions options = f.session.options();
  const auto policy = open_policy(f.policy.policy);
  const Registry registry = registry_for(f.session.plugin, policy.get());
  Graph graph = load(f.model, registry);
  f.policy.remark_on(policy.get());
  PolicyUse use = policy_use(policy.get(), graph, registry, f.policy.position());
  Trail trail;
  use.trail = &trail;
  NamedTensors inputs = make_inputs(f.inputs, graph);
  const Binding binding = binding_of(f.inputs, graph, inputs);
  const std::string line = model_line(f.model, graph);
  Gradients gradients = [&] {
    try {
      return gradients_of(std::move(graph), binding, f.loss, f.wrt, registry, f.session.passes(), use);
    } catch (Error& e) {
      throw in_model(e, f.model);
    }
  }();
  if (policy) warn_of_fallbacks(*policy, trail);
  give_seed(f, gradients, inputs);
  Session session(std::move(gradients.graph), options);
  WrittenFiles files;
  f.outputs.check_against(session.outputs(), files);
  RunOptions run;
  run.deadline = f.session.deadline_from_now();
  const NamedTensors outputs = session.run(inputs, run);
  f.outputs.write(outputs, files);
  if (f.report.format() == Format::json) {
    print(text_of({{"schema", 1},
                   {"model", f.model},
                   {"loss", f.loss},
                   {"wrt", f.wrt},
                   {"outputs", values_json(session.outputs(), outputs)},
                   {"written", files.paths()}},
                  2) +
          "\n");
    return files.exit_code();
  }
  std::string text = render(values_table(session.outputs(), outputs), f.report.format(), 2);
  if (f.report.format() != Format::csv) text = line + "outputs, and gradients as d.NAME\n" + text;
  if (f.report.format() == Format::table)
    for (const auto& path : files.paths()) text += concat("wrote    ", path, "\n");
  print(text);
  return files.exit_code();
}

}  // namespace

void add_grad(Command& app) {
  auto f = std::make_shared<GradFlags>();
  Command sub = app.subcommand("grad", "Gradients of a scalar output, or of sum(output * dout)");
  sub.option("MODEL", f->model, "The model: .onnx, or .textproto").required();
  sub.option("--loss OUT", f->loss, "The output to differentiate").required();
  sub.option("--wrt NAME,...", f->wrt,
             "With respect to what: inputs, weights, values, separated by commas; their gradients are outputs d.NAME")
      .split_at(',')
      .required();
  sub.option("--dout FILE|KIND", f->dout, "What the output is multiplied with; as --input takes it");
  f->inputs.add_to(sub);
  f->outputs.add_to(sub);
  f->policy.add_to(sub);
  f->session.add_to(sub);
  f->report.add_to(sub);
  sub.does([f] { return grad(*f); });
}

}  // namespace tessera
