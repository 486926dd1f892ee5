#pragma once
// Writing graphs: types are inferred as each node is added, so an untyped graph never exists.
#include <unordered_set>

#include "runtime/graph/graph.h"
#include "runtime/op/registry.h"

namespace tessera {

// Sets dtypes and, where they can be known, shapes of the node's outputs. Errors get the node's name and operator.
void infer_node(Graph& g, NodeId n);

// "node 'fc1' (Gemm)", the frame that errors get.
std::string describe(const Node& n);

// Appends to a graph. Names of new values and nodes are made unique. Borrows both arguments.
class GraphBuilder : public NodeBuilder {
 public:
  GraphBuilder(Graph& g, const Registry& registry);

  // Prefix of the names of nodes added without a name of their own, and their scope.
  void name_nodes(std::string prefix, std::string scope = {});

  ValueId input(std::string name, DType dtype, std::optional<SymbolicShape> declared);
  ValueId constant(Tensor value) override;
  ValueId constant(Tensor value, std::string name);
  std::vector<ValueId> nodes(std::string_view op, std::vector<ValueId> in, Attributes attributes, int outputs) override;
  // A node with the names of the file. An empty output name means that output is not wanted.
  std::vector<ValueId> add(const OpDef& op, std::string name, std::vector<ValueId> in, Attributes attributes,
                           const std::vector<std::string>& output_names);
  void output(std::string name, ValueId v);
  // Output i of a node that is there already, added when nobody asked for it so far.
  ValueId output_of(NodeId n, int i);
  // `name`, or `name`.N when a value has it already; taken from now on.
  std::string unique(const std::string& name);
  // Keeps `name` for a value to come: generated names avoid it.
  void reserve(const std::string& name) { names().insert(name); }

  DType dtype(ValueId v) const override { return graph.at(v).dtype; }
  std::optional<Shape> shape(ValueId v) const override { return graph.at(v).shape; }
  const Tensor* value(ValueId v) const override { return graph.is_constant(v) ? &graph.at(v).constant : nullptr; }

  Graph& graph;
  const Registry& registry;

 private:
  std::unordered_set<std::string>& names();
  std::unordered_set<std::string> names_;  // of all values, collected when first asked for: many passes write no node
  std::string prefix_, scope_;
};

}  // namespace tessera
