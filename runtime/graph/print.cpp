#include "runtime/graph/print.h"

#include <sstream>

#include "runtime/tensor/text.h"

namespace tessera {
namespace {

// Constants of so many elements are shown by their values.
constexpr std::int64_t shown = 8;

std::string type_text(const Graph& g, ValueId v) {
  const Value& value = g.at(v);
  if (value.shape) return concat(value.dtype, *value.shape);
  for (const auto& i : g.inputs)
    if (i.value == v && i.declared) return concat(value.dtype, *i.declared);
  return concat(value.dtype, "?");
}

bool is_inline(const Value& v) { return v.constant && v.constant.size() <= shown && size_of(v.dtype) > 0; }

std::string operand(const Graph& g, ValueId v) {
  if (v == ValueId::none) return "_";
  return is_inline(g.at(v)) ? to_text(g.at(v).constant) : g.at(v).name;
}

std::string call(const Graph& g, const Node& n) {
  std::string text = concat(n.op->domain, n.op->domain.empty() ? "" : "::", n.op->name, "(");
  for (std::size_t i = 0; i < n.in.size(); ++i) text += (i ? ", " : "") + operand(g, n.in[i]);
  text += ")";
  for (const auto& [name, value] : n.attributes) text += concat(" ", name, "=", to_text(value));
  return text;
}

// A string for Graphviz: quotes and backslashes escaped.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string to_text(const Graph& g) {
  std::ostringstream out;
  for (const auto& i : g.inputs) out << "input   " << g.at(i.value).name << ": " << type_text(g, i.value) << "\n";
  for (std::size_t v = 0; v < g.values.size(); ++v)
    if (g.values[v].constant && !is_inline(g.values[v]))
      out << "weight  " << g.values[v].name << ": " << type_text(g, static_cast<ValueId>(v)) << "\n";
  for (const auto& n : g.nodes) {
    for (std::size_t i = 0; i < n.out.size(); ++i) {
      if (i) out << ", ";
      if (n.out[i] == ValueId::none) {
        out << "_";
        continue;
      }
      out << g.at(n.out[i]).name << ": " << type_text(g, n.out[i]);
    }
    out << " = " << call(g, n) << "  # " << n.name << "\n";
  }
  for (const auto& o : g.outputs) out << "output  " << o.name << " = " << operand(g, o.value) << "\n";
  return out.str();
}

std::string to_dot(const Graph& g) {
  std::ostringstream out;
  out << "digraph " << quoted(g.name.empty() ? "model" : g.name) << " {\n  node [shape=box];\n";
  std::vector<std::string> from(g.values.size());  // the Graphviz node a value comes from; empty for constants
  for (std::size_t i = 0; i < g.inputs.size(); ++i) {
    from[index(g.inputs[i].value)] = concat("in", i);
    out << "  in" << i << " [shape=ellipse, label=" << quoted(g.at(g.inputs[i].value).name) << "];\n";
  }
  const auto edge = [&](ValueId v, const std::string& to) {
    if (v == ValueId::none || from[index(v)].empty()) return;
    out << "  " << from[index(v)] << " -> " << to << " [label=" << quoted(type_text(g, v)) << "];\n";
  };
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    const Node& node = g.nodes[n];
    const std::string id = concat("n", n);
    out << "  " << id << " [label=" << quoted(std::string(node.op->name)) << ", tooltip=" << quoted(node.name)
        << "];\n";
    for (const auto v : node.in) edge(v, id);
    for (const auto v : node.out)
      if (v != ValueId::none) from[index(v)] = id;
  }
  for (std::size_t i = 0; i < g.outputs.size(); ++i) {
    out << "  out" << i << " [shape=ellipse, label=" << quoted(g.outputs[i].name) << "];\n";
    edge(g.outputs[i].value, concat("out", i));
  }
  out << "}\n";
  return out.str();
}

}  // namespace tessera
