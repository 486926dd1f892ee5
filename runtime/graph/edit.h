#pragma once
// The only way to change a graph that exists. Changes are collected and take effect with `commit`, which restores
// topological order, drops what is erased and keeps ids dense. Ids taken before a commit do not survive it.
//
//   Edit edit(g, registry);
//   edit.before(n);                                   // new nodes stand before node n
//   edit.replace(old, edit.node("Gelu", {x}));        // every later use of old, and graph outputs
//   edit.erase(n);
//   edit.commit();
#include "runtime/graph/build.h"

namespace tessera {

class Edit : public NodeBuilder {
 public:
  Edit(Graph& g, const Registry& registry);

  // New nodes stand before `anchor` and take its name and scope.
  void before(NodeId anchor);
  std::vector<ValueId> nodes(std::string_view op, std::vector<ValueId> in, Attributes attributes, int outputs) override;
  ValueId constant(Tensor value) override;
  // With names of their own, made unique.
  ValueId constant(Tensor value, const std::string& name);
  std::vector<ValueId> add(const OpDef& op, std::string name, std::vector<ValueId> in, Attributes attributes,
                           std::vector<std::string> output_names);
  // All nodes that read `old` will read `by`; graph outputs keep their names. Follows earlier replacements.
  void replace(ValueId old, ValueId by);
  // n goes, unless something that stays reads what it computes.
  void erase(NodeId n);
  // What `v` has become so far.
  ValueId resolve(ValueId v) const;
  void commit();

  DType dtype(ValueId v) const override { return builder_.dtype(v); }
  std::optional<Shape> shape(ValueId v) const override { return builder_.shape(v); }
  const Tensor* value(ValueId v) const override { return builder_.value(v); }

 private:
  void place_node();
  void keep_what_is_read(const std::vector<std::size_t>& order);

  Graph& graph_;
  GraphBuilder builder_;
  std::size_t original_;            // nodes that existed before
  std::vector<std::size_t> place_;  // for each new node, the index of the node it stands before
  std::vector<char> erased_;
  std::vector<ValueId> replaced_;  // by value id; none: itself
  std::size_t anchor_ = 0;
  bool changed_ = false;
};

// Drops values that nothing uses and renumbers. Part of commit; inputs and outputs stay.
void compact(Graph& g);

}  // namespace tessera
