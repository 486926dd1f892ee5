#pragma once
// The graph: nodes and values in two flat vectors, joined by integer ids. SSA: every value has one producer, or is a
// graph input or a constant. Nodes stand in topological order, always. A value, cheap to copy: tensors are shared.
// Thread rule: const use is free.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/op/builder.h"
#include "runtime/op/op.h"
#include "runtime/tensor/dim.h"

namespace tessera {

enum class NodeId : std::int32_t { none = -1 };
constexpr std::size_t index(NodeId n) { return static_cast<std::size_t>(n); }

struct Value {
  std::string name;  // unique in the graph
  DType dtype = DType::undefined;
  std::optional<Shape> shape;      // once known
  Tensor constant;                 // set for weights and folded constants
  NodeId producer = NodeId::none;  // none for inputs and constants
};

struct Node {
  std::string name;  // as in the file, path-qualified inside functions and subgraphs; never empty
  const OpDef* op = nullptr;
  Attributes attributes;
  std::vector<ValueId> in, out;  // ValueId::none where absent (in) or not wanted (out)
  std::string scope;             // where the exporter says the node came from (module path); may be empty
};

struct GraphInput {
  ValueId value;
  std::optional<SymbolicShape> declared;  // nothing: the file gives no shape
};
struct GraphOutput {
  std::string name;  // the file's name; survives rewrites of the value behind it
  ValueId value;
};

struct Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<GraphInput> inputs;
  std::vector<GraphOutput> outputs;
  std::map<std::string, std::string> metadata;  // metadata_props of the model
  int opset = 0;                                // of ai.onnx, as in the file

  Value& at(ValueId v) { return values[index(v)]; }
  const Value& at(ValueId v) const { return values[index(v)]; }
  Node& at(NodeId n) { return nodes[index(n)]; }
  const Node& at(NodeId n) const { return nodes[index(n)]; }
  bool is_constant(ValueId v) const { return v != ValueId::none && bool(at(v).constant); }
  const Value* find(std::string_view value_name) const;  // by name; null when absent
};

// The nodes that read each value, in order (a node that reads it twice stands twice), and how often it is a graph
// output.
struct Uses {
  explicit Uses(const Graph& g);
  std::vector<std::vector<NodeId>> of;
  std::vector<int> as_output;
  int count(ValueId v) const { return static_cast<int>(of[index(v)].size()) + as_output[index(v)]; }
};

// A graph held by an attribute of If. Values it captures from outside are its inputs, passed by the node explicitly.
class GraphBody final : public Subgraph {
 public:
  explicit GraphBody(Graph g) : graph(std::move(g)) {}
  std::size_t input_count() const override { return graph.inputs.size(); }
  std::vector<DType> output_dtypes() const override;
  const Graph graph;
};

}  // namespace tessera
