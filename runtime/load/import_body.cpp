// Nodes that hold nodes: calls of the model's functions, which are inlined, and the branches of If.
#include <algorithm>

#include "runtime/load/attribute_proto.h"
#include "runtime/load/import.h"
#include "runtime/load/module_path.h"

namespace tessera {
namespace {

using onnx::AttributeProto;
using onnx::NodeProto;

constexpr int depth_limit = 100;

class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) {
    check(depth < depth_limit, "functions and graphs are nested deeper than ", depth_limit);
    ++depth_;
  }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int& depth_;
};

// What attribute references in the body stand for: the call's attributes, else the function's defaults.
Bindings bind(const Bindings* outer, const NodeProto& call, const onnx::FunctionProto& function) {
  Bindings bindings;
  for (const auto& a : function.attribute_proto()) bindings[a.name()] = a;
  for (const auto& a : call.attribute()) {
    if (a.ref_attr_name().empty()) {
      bindings[a.name()] = a;
      continue;
    }
    check(outer != nullptr, "attribute '", a.name(), "' refers to a function's attribute outside of one");
    if (const auto it = outer->find(a.ref_attr_name()); it != outer->end()) bindings[a.name()] = it->second;
  }
  for (const auto& name : function.attribute())
    check(bindings.contains(name), "function '", function.name(), "' needs attribute '", name, "'");
  return bindings;
}

std::optional<SymbolicShape> symbolic(const std::optional<Shape>& shape) {
  if (!shape) return std::nullopt;
  SymbolicShape dims;
  for (const auto d : *shape) dims.push_back({d, {}});
  return dims;
}

}  // namespace

void Importer::call(Scope& scope, const NodeProto& proto, const onnx::FunctionProto& function,
                    const std::string& name) {
  const Deeper deeper(depth_);
  const Bindings bindings = bind(scope.bindings, proto, function);
  const auto actual = inputs(scope, proto);
  check(static_cast<int>(actual.size()) <= function.input_size(), "function '", function.name(), "' takes ",
        function.input_size(), " inputs, got ", actual.size());
  check(proto.output_size() <= function.output_size(), "function '", function.name(), "' has ", function.output_size(),
        " outputs, asked for ", proto.output_size());
  const std::size_t fresh = scope.build.graph.values.size();
  Scope inside{.build = scope.build,
               .node_names = scope.node_names,
               .opsets = functions_.opsets(function),
               .node_path = name + "/",
               .value_path = name + "/",
               .module = module_path(proto, scope.module, proto.name()),
               .bindings = &bindings};
  for (int i = 0; i < function.input_size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    define(inside, function.input(i), at < actual.size() ? actual[at] : ValueId::none);
  }
  nodes(inside, function.node());
  std::vector<ValueId> results;
  for (const auto& output : function.output()) {
    check(inside.defines(output), "function '", function.name(), "' does not make its output '", output, "'");
    results.push_back(lookup(inside, output));
  }
  adopt(scope, proto, results, fresh);
}

// Reads the node's graphs. Outer values that any of them uses become inputs of the node after its own and, in the same
// order, the inputs of each body; constants are shared instead.
void Importer::bodies(Scope& scope, const NodeProto& proto, const std::string& name, std::vector<ValueId>& in,
                      Attributes& attributes) {
  const auto names = captured_names(proto);
  std::vector<ValueId> captures;
  for (const auto& captured : names) {
    const ValueId v = lookup(scope, captured);
    if (v == ValueId::none || scope.build.graph.is_constant(v)) continue;
    if (std::find(captures.begin(), captures.end(), v) == captures.end()) captures.push_back(v);
  }
  bool any = false;
  for (const auto& a : proto.attribute()) {
    if (!a.has_g()) continue;
    const Deeper deeper(depth_);
    Graph g = body(scope, a.g(), concat(name, "/", a.name(), "/"), captures, names);
    check(static_cast<int>(g.outputs.size()) >= count_named(proto.output()), "'", a.name(), "' has ", g.outputs.size(),
          " outputs, the node ", proto.output_size());
    attributes[a.name()] = std::make_shared<GraphBody>(std::move(g));
    any = true;
  }
  if (any) in.insert(in.end(), captures.begin(), captures.end());
}

Graph Importer::body(Scope& scope, const onnx::GraphProto& proto, const std::string& path,
                     std::span<const ValueId> captures, const std::vector<std::string>& names) {
  const Graph& outer = scope.build.graph;
  Graph g;
  g.name = proto.name();
  GraphBuilder build(g, registry_);
  NodeNames node_names;
  Scope inside{.build = build,
               .node_names = node_names,
               .opsets = scope.opsets,
               .node_path = path,
               .module = scope.module,
               .bindings = scope.bindings};
  check(proto.input_size() == 0, "a branch has inputs of its own");
  std::unordered_map<ValueId, ValueId> inner;
  for (const ValueId v : captures)
    inner[v] = build.input(outer.at(v).name, outer.at(v).dtype, symbolic(scope.build.shape(v)));
  initializers(inside, proto);
  for (const auto& captured : names) {
    if (inside.initializers.contains(captured)) continue;  // of its own; another body of the node reads the outer one
    const ValueId v = lookup(scope, captured);
    if (v == ValueId::none)
      define(inside, captured, v);
    else if (outer.is_constant(v))
      define(inside, captured, build.constant(outer.at(v).constant, build.unique(outer.at(v).name)));
    else
      define(inside, captured, inner.at(v));
  }
  nodes(inside, proto.node());
  outputs(inside, proto);
  return g;
}

}  // namespace tessera
