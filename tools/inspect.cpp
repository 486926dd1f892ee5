// tessera inspect MODEL: what is in a model, and what became of it on the way to a plan.
#include <algorithm>

#include "runtime/base/aside_file.h"
#include "runtime/base/nearest.h"
#include "runtime/load/load.h"
#include "runtime/load/save.h"
#include "runtime/pass/passes.h"
#include "runtime/pass/sites.h"
#include "runtime/plan/cost.h"
#include "runtime/session/open_policy.h"
#include "runtime/session/record_methods.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/inputs.h"
#include "tools/inspect_passes.h"
#include "tools/inspect_sites.h"
#include "tools/json.h"
#include "tools/summary.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

struct InspectFlags {
  std::string model, after, why, save_model;
  bool passes = false, sites = false;
  InputFlags inputs;
  PolicyFlags policy;
  SessionFlags session;
  ReportFlags report;
};

struct OperatorCount {
  std::string name;
  std::int64_t count = 0;
  double flops = 0;
};

// Everything that is reported. Shapes, and with them FLOPs and memory, are known from stage bind on.
struct Inspection {
  Stage stage = Stage::plan;
  bool sized = false;
  Graph loaded, graph;  // as in the file; after the stage
  std::vector<StageRuns> passes;
  std::vector<double> node_flops;
  std::vector<OperatorCount> operators;  // most first
  double flops = 0;
  std::size_t arena_bytes = 0, output_bytes = 0;
};

std::string qualified(const OpDef& op) {
  return op.domain.empty() ? std::string(op.name) : concat(op.domain, "::", op.name);
}

// 0 while shapes are not known.
double flops_of(const Graph& g, const Node& n) {
  std::vector<TensorType> in, out;
  std::vector<const Tensor*> values;
  const auto add = [&](std::vector<TensorType>& to, ValueId v) {
    if (v == ValueId::none) return to.push_back({}), true;
    if (!g.at(v).shape) return false;
    to.push_back({g.at(v).dtype, *g.at(v).shape});
    return true;
  };
  for (const ValueId v : n.in) {
    if (!add(in, v)) return 0;
    values.push_back(g.is_constant(v) ? &g.at(v).constant : nullptr);
  }
  for (const ValueId v : n.out)
    if (!add(out, v)) return 0;
  return estimate_cost(*n.op, n.attributes, in, values, out).flops;
}

Stage stage_of(const InspectFlags& f) {
  Stage stage = f.sites ? Stage::sites : Stage::plan;
  if (!f.after.empty()) {
    const auto named = stage_from_name(f.after);
    check(named.has_value(), "--after: there is no stage '", f.after, "' (load bind fold sites policy fuse plan)");
    stage = *named;
  }
  check(!f.sites || stage >= Stage::sites, "--sites: before stage sites there are none");
  check(f.save_model.empty() || stage != Stage::plan,
        "--save-model writes the graph after a stage before plan; say which with --after, as --after policy");
  return stage;
}

Inspection examine(const InspectFlags& f, Stage stage) {
  Inspection x;
  x.stage = stage;
  x.sized = stage != Stage::load;
  const auto policy = open_policy(f.policy.policy);
  const Registry registry = registry_for(f.session.plugin, policy.get());
  x.loaded = load(f.model, registry);
  f.policy.remark_on(policy.get());
  PolicyUse use = policy_use(policy.get(), x.loaded, registry, f.policy.position());
  Trail trail;
  use.trail = &trail;
  const Binding binding = binding_of(f.inputs, x.loaded, given_inputs(f.inputs, x.loaded));
  const Stage last = std::min(x.stage, Stage::fuse);
  x.graph = graph_after(last, x.loaded, binding, registry, f.session.passes(), use, &x.passes);
  if (x.stage == Stage::plan) {
    Plan plan = make_plan(std::move(x.graph));
    x.arena_bytes = plan.arena_bytes;
    x.graph = std::move(plan.graph);
  }
  if (policy) warn_of_fallbacks(*policy, trail);
  std::map<std::string, OperatorCount> by_name;
  for (const auto& n : x.graph.nodes) {
    auto& entry = by_name[qualified(*n.op)];
    entry.name = qualified(*n.op);
    ++entry.count;
    x.node_flops.push_back(x.sized ? flops_of(x.graph, n) : 0);
    entry.flops += x.node_flops.back();
    x.flops += x.node_flops.back();
  }
  for (const auto& [name, entry] : by_name) x.operators.push_back(entry);
  std::stable_sort(x.operators.begin(), x.operators.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  for (const auto& o : x.graph.outputs)
    if (const auto& v = x.graph.at(o.value); v.shape)
      x.output_bytes += static_cast<std::size_t>(count(*v.shape)) * size_of(v.dtype);
  return x;
}

std::string input_shape(const Graph& g, const GraphInput& i) {
  if (const auto& shape = g.at(i.value).shape) return concat(*shape);
  return i.declared ? concat(*i.declared) : "any";
}

std::string value_shape(const Value& v) { return v.shape ? concat(*v.shape) : "?"; }

std::string value_list(const Graph& g, const std::vector<ValueId>& values) {
  std::string text;
  for (const ValueId v : values)
    text += (text.empty() ? "" : ", ") +
            (v == ValueId::none ? std::string("-") : concat(g.at(v).name, " ", g.at(v).dtype, value_shape(g.at(v))));
  return text;
}

Table ports_table(const Inspection& x, bool inputs) {
  Table table{{"name", "type", "shape"}, {}};
  const Graph& g = x.graph;
  if (inputs)
    for (const auto& i : g.inputs)
      table.rows.push_back({g.at(i.value).name, concat(g.at(i.value).dtype), input_shape(g, i)});
  else
    for (const auto& o : g.outputs)
      table.rows.push_back({o.name, concat(g.at(o.value).dtype), value_shape(g.at(o.value))});
  return table;
}

std::string report_text(const InspectFlags& f, const Inspection& x) {
  const Format format = f.report.format();
  std::string text = model_line(f.model, x.loaded);
  if (f.sites) text += sites_text(x.graph, format);
  if (f.sites && f.after.empty()) return text;
  const auto section = [&](const std::string& title, const Table& t) {
    text +=
        concat(title, "\n", format == Format::md ? "\n" : "", render(t, format, 2), format == Format::md ? "\n" : "");
  };
  section("inputs", ports_table(x, true));
  section("outputs", ports_table(x, false));
  Table operators{{"operator", "count", "FLOP"}, {}};
  for (const auto& o : x.operators)
    operators.rows.push_back({o.name, concat(o.count), x.sized ? readable_count(o.flops) : "-"});
  section(concat("operators after ", name(x.stage), ": ", x.graph.nodes.size()), operators);
  if (x.sized) text += concat("work     ", readable_count(x.flops, "FLOP"), "\n");
  const auto bytes = [](std::size_t n) { return readable_bytes(static_cast<double>(n)); };
  if (x.stage == Stage::plan)
    text += concat("memory   ", bytes(constant_bytes(x.graph) + x.arena_bytes + x.output_bytes), ": constants ",
                   bytes(constant_bytes(x.graph)), ", arena ", bytes(x.arena_bytes), ", outputs ",
                   bytes(x.output_bytes), "\n");
  if (f.after.empty()) return text;
  if (!x.passes.empty()) section("rewrites by pass and stage", rewrites_table(x.passes));
  Table nodes{{"node", "operator", "in", "out", "FLOP"}, {}};
  for (std::size_t n = 0; n < x.graph.nodes.size(); ++n) {
    const Node& node = x.graph.nodes[n];
    nodes.rows.push_back({node.name, qualified(*node.op), value_list(x.graph, node.in), value_list(x.graph, node.out),
                          x.sized ? readable_count(x.node_flops[n]) : "-"});
  }
  section("nodes", nodes);
  return text;
}

Json dims_json(const std::optional<Shape>& shape, const std::optional<SymbolicShape>& declared = {}) {
  Json dims = Json::array();
  if (shape) {
    for (const auto d : *shape) dims.push_back(d);
  } else if (declared) {
    for (const auto& d : *declared)
      dims.push_back(d.concrete() ? Json(d.value) : d.symbol.empty() ? Json(nullptr) : Json(d.symbol));
  } else {
    return nullptr;
  }
  return dims;
}

Json names_json(const Graph& g, const std::vector<ValueId>& values) {
  Json list = Json::array();
  for (const ValueId v : values) list.push_back(v == ValueId::none ? std::string() : g.at(v).name);
  return list;
}

std::string report_json(const InspectFlags& f, const Inspection& x) {
  const Graph& g = x.graph;
  Json inputs = Json::array(), outputs = Json::array(), operators = Json::array(), nodes = Json::array();
  for (const auto& i : g.inputs)
    inputs.push_back({{"name", g.at(i.value).name},
                      {"type", name(g.at(i.value).dtype)},
                      {"shape", dims_json(g.at(i.value).shape, i.declared)}});
  for (const auto& o : g.outputs)
    outputs.push_back(
        {{"name", o.name}, {"type", name(g.at(o.value).dtype)}, {"shape", dims_json(g.at(o.value).shape)}});
  for (const auto& o : x.operators) operators.push_back({{"operator", o.name}, {"count", o.count}, {"flops", o.flops}});
  Json report = {{"schema", 1},
                 {"model", f.model},
                 {"after", name(x.stage)},
                 {"opset", x.loaded.opset},
                 {"parameters", parameter_count(x.loaded)},
                 {"inputs", inputs},
                 {"outputs", outputs},
                 {"operators", operators},
                 {"flops", x.sized ? Json(x.flops) : Json(nullptr)},
                 {"memory", nullptr}};
  if (x.stage == Stage::plan)
    report["memory"] = {{"constants", constant_bytes(g)}, {"arena", x.arena_bytes}, {"outputs", x.output_bytes}};
  if (!f.after.empty()) {
    for (std::size_t n = 0; n < g.nodes.size(); ++n)
      nodes.push_back({{"name", g.nodes[n].name},
                       {"operator", qualified(*g.nodes[n].op)},
                       {"scope", g.nodes[n].scope},
                       {"in", names_json(g, g.nodes[n].in)},
                       {"out", names_json(g, g.nodes[n].out)},
                       {"flops", x.node_flops[n]}});
    report["passes"] = rewrites_json(x.passes);
    report["nodes"] = nodes;
  }
  if (f.sites) add_sites(report, g);
  return text_of(report, 2) + "\n";
}

// Graphviz: nodes as boxes, inputs and outputs as ellipses; constants are left out. With --sites, attention sites are
// filled and bear their names.
std::string report_dot(const InspectFlags& f, const Inspection& x) {
  const Graph& g = x.graph;
  const auto quoted = [](const std::string& s) { return text_of(Json(s)); };
  std::string text = "digraph model {\n  node [shape=box, fontname=\"sans-serif\"];\n";
  for (const auto& i : g.inputs)
    text += concat("  v", index(i.value),
                   " [shape=ellipse, label=", quoted(concat(g.at(i.value).name, " ", input_shape(g, i))), "];\n");
  std::map<std::size_t, std::string> sites;
  if (f.sites)
    for (const auto& s : attention_sites(g)) sites.emplace(index(s.node), s.name);
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    const auto site = sites.find(n);
    const std::string op = qualified(*g.nodes[n].op);
    text += concat("  n", n, " [label=", quoted(site == sites.end() ? op : site->second + "\n" + op),
                   ", tooltip=", quoted(g.nodes[n].name), site == sites.end() ? "" : ", style=filled, fillcolor=gold",
                   "];\n");
  }
  const auto edge_from = [&](ValueId v) {
    const Value& value = g.at(v);
    return value.producer == NodeId::none ? concat("v", index(v)) : concat("n", index(value.producer));
  };
  for (std::size_t n = 0; n < g.nodes.size(); ++n)
    for (const ValueId v : g.nodes[n].in)
      if (v != ValueId::none && !g.is_constant(v))
        text += concat("  ", edge_from(v), " -> n", n, " [label=", quoted(value_shape(g.at(v))), "];\n");
  for (std::size_t o = 0; o < g.outputs.size(); ++o) {
    text += concat("  o", o, " [shape=ellipse, label=", quoted(g.outputs[o].name), "];\n");
    if (!g.is_constant(g.outputs[o].value)) text += concat("  ", edge_from(g.outputs[o].value), " -> o", o, ";\n");
  }
  return text + "}\n";
}

const PassDef& pass_named(const std::string& name) {
  std::vector<std::string> names;
  std::string listed;
  for (const PassDef* p : all_passes()) {
    if (!p->near_misses) continue;
    if (p->name == name) return *p;
    names.emplace_back(p->name);
    listed += concat(listed.empty() ? "" : ", ", p->name);
  }
  for (const PassDef* p : all_passes())
    check(p->name != name, "--why ", name, ": the pass tells of no near misses; those that do: ", listed);
  throw Error(Code::bad_input, concat("--why: there is no pass '", name, "'", nearest_or_all(name, names)));
}

// What the pass nearly rewrote: asked of the graph that its stage leaves.
int list_near_misses(const InspectFlags& f, Format format) {
  const PassDef& pass = pass_named(f.why);
  const auto fusing = fuse_passes();
  const bool fuses = std::find(fusing.begin(), fusing.end(), &pass) != fusing.end();
  const Registry registry = f.session.registry();
  const Graph loaded = load(f.model, registry);
  PassOptions options = f.session.passes();
  // Chains of what other passes leave would hide it.
  if (&pass != &fuse_elementwise_pass) options.disabled.emplace(fuse_elementwise_pass.name);
  const Graph g = graph_after(fuses ? Stage::fuse : Stage::sites, loaded,
                              binding_of(f.inputs, loaded, given_inputs(f.inputs, loaded)), registry, options);
  Table table{{"node", "left by " + f.why + " because"}, {}};
  Json list = Json::array();
  for (const Miss& miss : pass.near_misses(g)) {
    table.rows.push_back({miss.node, miss.reason});
    list.push_back({{"node", miss.node}, {"reason", miss.reason}});
  }
  if (format == Format::json)
    print(text_of({{"schema", 1}, {"pass", f.why}, {"near_misses", list}}, 2) + "\n");
  else
    print(table.rows.empty() ? f.why + " left nothing that looks like its pattern\n" : render(table, format));
  return 0;
}

// As a model of the sizes it was bound to, with what it takes to load it.
void save_graph(const Inspection& x, const std::string& path) {
  Graph g = x.graph;
  for (auto& i : g.inputs) {
    if (!g.at(i.value).shape) continue;
    i.declared.emplace();
    for (const auto d : *g.at(i.value).shape) i.declared->push_back({d, {}});
  }
  record_methods(g);
  save(g, path);
}

int inspect(const InspectFlags& f) {
  const Format format = f.report.format();
  check(format != Format::dot || (!f.passes && f.why.empty()), "--format dot draws a model; this shows none");
  if (f.passes) {
    print(format == Format::json ? text_of(passes_json(), 2) + "\n" : passes_text(format));
    return 0;
  }
  check(!f.model.empty(), "inspect needs a MODEL (or --passes)");
  const Stage stage = stage_of(f);
  if (!f.save_model.empty()) check_can_write(f.save_model);
  try {
    if (!f.why.empty()) return list_near_misses(f, format);
    const Inspection x = examine(f, stage);
    if (!f.save_model.empty()) save_graph(x, f.save_model);
    print(format == Format::json ? report_json(f, x) : format == Format::dot ? report_dot(f, x) : report_text(f, x));
  } catch (Error& e) {
    throw in_model(e, f.model);
  }
  return 0;
}

}  // namespace

void add_inspect(Command& app) {
  auto f = std::make_shared<InspectFlags>();
  Command sub = app.subcommand("inspect", "Show inputs, outputs, operators, parameters, FLOPs and memory of a model");
  const Option model = sub.option("MODEL", f->model, "The model: .onnx, or .textproto");
  const Option after =
      sub.option("--after load|bind|fold|sites|policy|fuse|plan", f->after, "Show every node as it is after a stage");
  Option why = sub.option("--why PASS", f->why, "Show what a pass nearly rewrote, and what kept it from that");
  const Option sites = sub.flag("--sites", f->sites, "List the attention sites, and why other softmax nodes are none");
  const Option save =
      sub.option("--save-model FILE.onnx", f->save_model, "With --after: write the graph as it is after that stage");
  sub.flag("--passes", f->passes, "List the passes, with examples; --pass turns one off")
      .excludes({model, after, why, sites, save});
  f->inputs.add_to(sub);
  why.excludes({after, sites, save, f->policy.add_to(sub)});
  sub.option("--pass no-NAME", f->session.pass, "Turn a pass off");
  f->session.PluginFlags::add_to(sub);
  f->report.add_to(sub, {"table", "md", "json", "dot"});
  sub.does([f] { return inspect(*f); });
}

}  // namespace tessera
