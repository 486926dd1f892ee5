// One node of the file: constants are read, older versions adapted, expansions written out.
#include <algorithm>
#include <unordered_set>

#include "runtime/load/attribute_proto.h"
#include "runtime/load/import.h"
#include "runtime/load/load.h"
#include "runtime/load/module_path.h"
#include "runtime/op/context.h"
#include "runtime/op/infer.h"

namespace tessera {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;

// Frames are added once, by whoever knows the node first.
void add_frame(Error& e, const std::string& frame) {
  if (std::string_view(e.what()).find("in " + frame) == std::string_view::npos) e.in(frame);
}

// What adaptations and kernels rely on before the node's types are checked: the first input, which every version of an
// operator has, and a list of inputs without holes.
void check_inputs(const OpDef& op, std::span<const ValueId> in) {
  if (op.inputs.empty()) return;
  const Port &first = op.inputs[0], &last = op.inputs[op.inputs.size() - 1];
  check(first.presence != Presence::required || (!in.empty() && in[0] != ValueId::none), op.name, " needs input '",
        first.name, "'");
  if (last.presence != Presence::variadic) return;
  for (std::size_t i = op.inputs.size() - 1; i < in.size(); ++i)
    check(in[i] != ValueId::none, "input ", i, " of ", op.name, " is absent, but one behind it is not: '", last.name,
          "' has no holes");
}

const Port* output_port(const OpDef& op, int i) {
  return op.outputs.empty() ? nullptr : &op.outputs[std::min(static_cast<std::size_t>(i), op.outputs.size() - 1)];
}

// How many outputs the node has: of a list also those at the end that nobody named.
int count_outputs(const OpDef& op, const NodeProto& proto) {
  const int named = count_named(proto.output());
  const Port* last = output_port(op, proto.output_size());
  return named > 0 && last && last->presence == Presence::variadic ? proto.output_size() : named;
}

// Kernels write their first output and all of a list unasked; they look whether another one is wanted.
bool needs_memory(const OpDef& op, int i) {
  const Port* port = output_port(op, i);
  return port && (port->presence == Presence::variadic || (i == 0 && port->presence == Presence::required));
}

}  // namespace

// Of a node that bears a name. A saved body has the path in its names already.
std::string Importer::qualified_name(const Scope& scope, const NodeProto& proto) {
  return proto.name().starts_with(scope.node_path) ? proto.name() : scope.node_path + proto.name();
}

void Importer::node(Scope& scope, const NodeProto& proto) {
  const std::string name = proto.name().empty() ? scope.node_names.make(scope.node_path, proto.op_type())
                                                : scope.node_names.take(qualified_name(scope, proto));
  try {
    check(proto.op_type().size() <= 256 && proto.domain().size() <= 256,
          "the operator's name is longer than 256 characters");
    const std::string& domain = plain_domain(proto.domain());
    scope.build.name_nodes(name, module_path(proto, scope.module, proto.name()));
    if (domain.empty() && proto.op_type() == "Constant") return constant_node(scope, proto);
    const OpDef* op = registry_.find(domain, proto.op_type());
    const auto version = scope.opsets.find(domain);
    const bool known = op && (version == scope.opsets.end() || version->second >= op->introduced);
    if (const auto* function = known ? nullptr : functions_.find(proto)) return call(scope, proto, *function, name);
    if (!op) unknown_operator(scope, domain, proto.op_type());
    check_methods(scope, proto, *op);
    check(version != scope.opsets.end(), "the model does not say which version of '",
          domain.empty() ? "ai.onnx" : domain, "' it uses");
    check(known, Code::unsupported, proto.op_type(), " is in ", domain.empty() ? "ai.onnx" : domain, " from version ",
          op->introduced, " on; the model imports version ", version->second);
    operator_node(scope, proto, *op, name);
  } catch (Error& e) {
    add_frame(e, concat("node '", name, "' (", proto.op_type().substr(0, 256), ")"));
    throw;
  }
}

// Never returns. Says what the model knows of the operator: the version it imports, the plugin it was saved with.
void Importer::unknown_operator(const Scope& scope, const std::string& domain, const std::string& name) const {
  const std::string shown = domain.empty() ? "ai.onnx" : domain;
  try {
    registry_.at(domain, name);
  } catch (Error& e) {
    const auto version = scope.opsets.find(domain);
    if (version == scope.opsets.end())
      e.hint(concat("the model does not import '", shown, "'"));
    else
      e.hint(concat("the model imports ", shown, " version ", version->second));
    if (const std::string* plugin = metadata(plugin_metadata_key(domain, name)))
      throw e.hint(
          concat("plugin '", *plugin, "' brings it: give it with --plugin ", plugin->substr(0, plugin->find(' '))));
    if (!domain.empty())
      e.hint("if a plugin brings it, give that: --plugin NAME or --plugin FILE.so (`tessera plugins list`)");
    throw;
  }
}

void Importer::operator_node(Scope& scope, const NodeProto& proto, const OpDef& op, std::string name) {
  const int outputs = count_outputs(op, proto);
  std::vector<bool> wanted;
  for (int i = 0; i < outputs; ++i) wanted.push_back(!proto.output(i).empty());
  const auto version = static_cast<int>(std::min<std::int64_t>(scope.opsets.at(std::string(op.domain)), 1 << 30));
  RewriteContext c{op,      scope.build,       version, inputs(scope, proto), attributes(scope, proto),
                   outputs, std::move(wanted), {}};
  if (op.domain.empty() && version < 6) c.attributes.erase("consumed_inputs");  // said what could be written over
  check_inputs(op, c.in);
  bodies(scope, proto, name, c.in, c.attributes);
  if (outputs == 0) return;  // computes nothing that anyone could read
  const std::size_t fresh = scope.build.graph.values.size();
  for (const auto& adaptation : op.adapt)
    if (c.result.empty() && version < adaptation.below) adaptation.rewrite(c);
  if (c.result.empty() && op.expand) {
    check_call(scope, c);
    op.expand(c);
    check(!c.result.empty(), Code::internal, op.name, " expands to nothing");
  }
  if (c.result.empty()) {
    std::vector<std::string> names;
    for (int i = 0; i < outputs; ++i) {
      const std::string& output = proto.output(i);
      if (output.empty())
        names.push_back(needs_memory(op, i) ? scope.build.unique(concat(name, ".", output_port(op, i)->name)) : "");
      else
        names.push_back(scope.value_path.empty() ? output : scope.build.unique(scope.value_path + output));
    }
    c.result = scope.build.add(op, std::move(name), std::move(c.in), std::move(c.attributes), names);
    for (int i = 0; i < outputs; ++i)
      if (!proto.output(i).empty()) define(scope, proto.output(i), c.result[static_cast<std::size_t>(i)]);
    return;
  }
  adopt(scope, proto, c.result, fresh);
}

// What an operator that is written as others stands for in the file, against its own table: expansions rely on it.
void Importer::check_call(const Scope& scope, const RewriteContext& c) const {
  std::vector<DType> types;
  for (const ValueId v : c.in) types.push_back(v == ValueId::none ? DType::undefined : scope.build.dtype(v));
  infer_dtypes(c.op, c.attributes, types, c.outputs);
}

// The node's outputs are values that others made. Those made for this node (from `fresh` on) take the names of the
// file.
void Importer::adopt(Scope& scope, const NodeProto& proto, std::span<const ValueId> results, std::size_t fresh) {
  const int outputs = count_named(proto.output());
  for (int i = 0; i < outputs; ++i) {
    const std::string& name = proto.output(i);
    if (name.empty()) continue;
    check(static_cast<std::size_t>(i) < results.size() && results[static_cast<std::size_t>(i)] != ValueId::none,
          Code::unsupported, "output ", i, " ('", name, "') is not computed");
    const ValueId v = results[static_cast<std::size_t>(i)];
    define(scope, name, v);
    const bool first = std::find(results.begin(), results.begin() + i, v) == results.begin() + i;
    if (index(v) >= fresh && first)
      scope.build.graph.at(v).name = scope.value_path.empty() ? name : scope.build.unique(scope.value_path + name);
  }
}

void Importer::constant_node(Scope& scope, const NodeProto& proto) {
  check(count_named(proto.output()) <= 1 && proto.input_size() == 0, "Constant has no inputs and one output");
  const Attributes given = attributes(scope, proto);
  check(given.size() == 1, "Constant needs exactly one attribute, got ", given.size());
  if (count_named(proto.output()) == 0) return;
  struct {
    Tensor operator()(std::int64_t v) const { return Tensor::scalar(v); }
    Tensor operator()(float v) const { return Tensor::scalar(v); }
    Tensor operator()(const Tensor& v) const { return v; }
    Tensor operator()(const std::vector<std::int64_t>& v) const { return Tensor::vector<std::int64_t>(v); }
    Tensor operator()(const std::vector<float>& v) const { return Tensor::vector<float>(v); }
    Tensor operator()(const std::string&) const { return none(); }
    Tensor operator()(const std::vector<std::string>&) const { return none(); }
    Tensor operator()(const std::shared_ptr<const Subgraph>&) const { return none(); }
    static Tensor none() { throw Error(Code::unsupported, "constants of strings are not supported"); }
  } read;
  const std::string& name = proto.output(0);
  const std::string full = scope.value_path.empty() ? name : scope.build.unique(scope.value_path + name);
  define(scope, name, scope.build.constant(std::visit(read, given.begin()->second), full));
}

// All but graphs, which `bodies` reads. References to the attributes of the enclosing function are followed.
Attributes Importer::attributes(Scope& scope, const NodeProto& proto) {
  Attributes attributes;
  std::unordered_set<std::string_view> names;
  for (const auto& a : proto.attribute()) {
    check(names.insert(a.name()).second, "attribute '", a.name(), "' is given twice");
    const AttributeProto* given = &a;
    if (!a.ref_attr_name().empty()) {
      check(scope.bindings != nullptr, "attribute '", a.name(), "' refers to '", a.ref_attr_name(),
            "' of a function, but stands outside of one");
      const auto it = scope.bindings->find(a.ref_attr_name());
      if (it == scope.bindings->end()) continue;  // not given by the call: as if it were not there
      given = &it->second;
    }
    if (kind_of(*given) == AttributeProto::GRAPH) continue;
    attributes.emplace(a.name(), to_attribute(*given, tensors_));
  }
  return attributes;
}

std::vector<ValueId> Importer::inputs(Scope& scope, const NodeProto& proto) {
  std::vector<ValueId> in;
  const int count = count_named(proto.input());
  in.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) in.push_back(lookup(scope, proto.input(i)));
  while (!in.empty() && in.back() == ValueId::none) in.pop_back();  // absent in the call of the function around it
  return in;
}

}  // namespace tessera
