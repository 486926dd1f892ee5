#include "tests/support/same_graph.h"

namespace tessera {
namespace {

std::string show(const Graph& g, ValueId v) {
  if (v == ValueId::none) return "-";
  const Value& value = g.at(v);
  return concat(value.name, ":", value.dtype, value.shape ? concat(*value.shape) : "?");
}

std::string compare(const Graph& a, ValueId x, const Graph& b, ValueId y) {
  if (show(a, x) != show(b, y)) return show(a, x) + " became " + show(b, y);
  if (a.is_constant(x) != b.is_constant(y) || (a.is_constant(x) && !same_bits(a.at(x).constant, b.at(y).constant)))
    return "constant " + show(a, x) + " changed";
  return {};
}

std::string compare(const Attributes& a, const Attributes& b) {
  if (a.size() != b.size()) return concat(a.size(), " attributes became ", b.size());
  for (const auto& [key, value] : a) {
    const auto it = b.find(key);
    if (it == b.end()) return "attribute " + key + " is missing";
    const auto* graph = std::get_if<std::shared_ptr<const Subgraph>>(&value);
    if (!graph) {
      if (!equal({{key, value}}, {{key, it->second}})) return "attribute " + key + " changed";
      continue;
    }
    const auto& other = std::get<std::shared_ptr<const Subgraph>>(it->second);
    const auto inner =
        difference(dynamic_cast<const GraphBody&>(**graph).graph, dynamic_cast<const GraphBody&>(*other).graph);
    if (!inner.empty()) return key + ": " + inner;
  }
  return {};
}

std::string compare(const Graph& a, const Node& x, const Graph& b, const Node& y) {
  if (x.name != y.name || x.op != y.op || x.scope != y.scope)
    return concat(x.name, " ", x.op->name, " '", x.scope, "' became ", y.name, " ", y.op->name, " '", y.scope, "'");
  if (x.in.size() != y.in.size() || x.out.size() != y.out.size())
    return x.name + ": numbers of inputs or outputs changed";
  for (std::size_t i = 0; i < x.in.size(); ++i)
    if (const auto d = compare(a, x.in[i], b, y.in[i]); !d.empty()) return x.name + ": " + d;
  for (std::size_t i = 0; i < x.out.size(); ++i)
    if (const auto d = compare(a, x.out[i], b, y.out[i]); !d.empty()) return x.name + ": " + d;
  const auto d = compare(x.attributes, y.attributes);
  return d.empty() ? d : x.name + ": " + d;
}

}  // namespace

std::string difference(const Graph& a, const Graph& b) {
  if (a.metadata != b.metadata) return "metadata";
  if (a.inputs.size() != b.inputs.size()) return concat(a.inputs.size(), " inputs became ", b.inputs.size());
  if (a.outputs.size() != b.outputs.size()) return concat(a.outputs.size(), " outputs became ", b.outputs.size());
  if (a.nodes.size() != b.nodes.size()) return concat(a.nodes.size(), " nodes became ", b.nodes.size());
  for (std::size_t i = 0; i < a.inputs.size(); ++i) {
    if (a.inputs[i].declared != b.inputs[i].declared) return "declared shape of " + show(a, a.inputs[i].value);
    if (const auto d = compare(a, a.inputs[i].value, b, b.inputs[i].value); !d.empty()) return d;
  }
  for (std::size_t i = 0; i < a.nodes.size(); ++i)
    if (const auto d = compare(a, a.nodes[i], b, b.nodes[i]); !d.empty()) return d;
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    if (a.outputs[i].name != b.outputs[i].name) return a.outputs[i].name + " became " + b.outputs[i].name;
    if (const auto d = compare(a, a.outputs[i].value, b, b.outputs[i].value); !d.empty()) return d;
  }
  return {};
}

}  // namespace tessera
