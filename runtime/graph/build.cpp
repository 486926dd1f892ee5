#include "runtime/graph/build.h"

#include "runtime/op/infer.h"

namespace tessera {

std::string describe(const Node& n) { return concat("node '", n.name, "' (", n.op->name, ")"); }

void infer_node(Graph& g, NodeId id) {
  Node& n = g.at(id);
  try {
    std::vector<DType> dtypes;
    std::vector<const Shape*> shapes;
    std::vector<const Tensor*> values;
    for (const ValueId v : n.in) {
      const bool given = v != ValueId::none;
      dtypes.push_back(given ? g.at(v).dtype : DType::undefined);
      shapes.push_back(given && g.at(v).shape ? &*g.at(v).shape : nullptr);
      values.push_back(given && g.at(v).constant ? &g.at(v).constant : nullptr);
    }
    const int outputs = static_cast<int>(n.out.size());
    const auto types = infer_dtypes(*n.op, n.attributes, dtypes, outputs);
    const auto found = infer_shapes(*n.op, n.attributes, dtypes, shapes, values, outputs);
    for (std::size_t i = 0; i < n.out.size(); ++i) {
      if (n.out[i] == ValueId::none) continue;
      Value& v = g.at(n.out[i]);
      v.dtype = types[i];
      v.shape = found ? std::optional((*found)[i]) : std::nullopt;
    }
  } catch (Error& e) {
    throw e.in(describe(n));
  }
}

GraphBuilder::GraphBuilder(Graph& g, const Registry& r) : graph(g), registry(r) {}

std::unordered_set<std::string>& GraphBuilder::names() {
  if (names_.empty()) {
    names_.reserve(graph.values.size());
    for (const auto& v : graph.values) names_.insert(v.name);
  }
  return names_;
}

void GraphBuilder::name_nodes(std::string prefix, std::string scope) {
  prefix_ = std::move(prefix);
  scope_ = std::move(scope);
}

std::string GraphBuilder::unique(const std::string& name) {
  if (names().insert(name).second) return name;
  for (std::size_t i = 1;; ++i)
    if (auto other = concat(name, ".", i); names().insert(other).second) return other;
}

ValueId GraphBuilder::input(std::string name, DType dtype, std::optional<SymbolicShape> declared) {
  check(names().insert(name).second, "value '", name, "' is defined twice");
  auto shape = declared ? concrete(*declared) : std::nullopt;
  graph.values.push_back({std::move(name), dtype, std::move(shape), {}, NodeId::none});
  const auto v = static_cast<ValueId>(graph.values.size() - 1);
  graph.inputs.push_back({v, std::move(declared)});
  return v;
}

ValueId GraphBuilder::constant(Tensor value) {
  return constant(std::move(value), unique(concat("constant.", graph.values.size())));
}

ValueId GraphBuilder::constant(Tensor value, std::string name) {
  names().insert(name);
  const DType dtype = value.dtype();
  auto shape = value.shape();
  graph.values.push_back({std::move(name), dtype, std::move(shape), std::move(value), NodeId::none});
  return static_cast<ValueId>(graph.values.size() - 1);
}

std::vector<ValueId> GraphBuilder::nodes(std::string_view op, std::vector<ValueId> in, Attributes attributes,
                                         int outputs) {
  const OpDef& def = registry.at(op);
  const std::string name = prefix_.empty() ? concat(def.name, "_", graph.nodes.size()) : prefix_;
  std::vector<std::string> names;
  for (int i = 0; i < outputs; ++i) names.push_back(unique(concat(name, ".", def.name, i ? concat(".", i) : "")));
  return add(def, name, std::move(in), std::move(attributes), names);
}

std::vector<ValueId> GraphBuilder::add(const OpDef& op, std::string name, std::vector<ValueId> in,
                                       Attributes attributes, const std::vector<std::string>& output_names) {
  Node node{std::move(name), &op, std::move(attributes), std::move(in), {}, scope_};
  while (!node.in.empty() && node.in.back() == ValueId::none) node.in.pop_back();
  const auto id = static_cast<NodeId>(graph.nodes.size());
  std::vector<ValueId> out;
  for (const auto& output : output_names) {
    if (output.empty()) {
      out.push_back(ValueId::none);
      continue;
    }
    names().insert(output);
    graph.values.push_back({output, DType::undefined, std::nullopt, {}, id});
    out.push_back(static_cast<ValueId>(graph.values.size() - 1));
  }
  node.out = out;
  graph.nodes.push_back(std::move(node));
  infer_node(graph, id);
  return out;
}

ValueId GraphBuilder::output_of(NodeId n, int i) {
  const auto at = static_cast<std::size_t>(i);
  auto& out = graph.at(n).out;
  if (out.size() <= at) out.resize(at + 1, ValueId::none);
  if (out[at] == ValueId::none) {
    const Node& node = graph.at(n);
    const std::string name =
        unique(concat(node.name, ".", node.op->outputs[std::min(at, node.op->outputs.size() - 1)].name));
    graph.values.push_back({name, DType::undefined, std::nullopt, {}, n});
    out[at] = static_cast<ValueId>(graph.values.size() - 1);
    infer_node(graph, n);
  }
  return out[at];
}

void GraphBuilder::output(std::string name, ValueId v) { graph.outputs.push_back({std::move(name), v}); }

}  // namespace tessera
