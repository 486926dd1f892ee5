#include "runtime/graph/edit.h"

#include <algorithm>
#include <numeric>

namespace tessera {

Edit::Edit(Graph& g, const Registry& registry)
    : graph_(g), builder_(g, registry), original_(g.nodes.size()), erased_(g.nodes.size()) {}

void Edit::before(NodeId anchor) {
  anchor_ = index(anchor);
  builder_.name_nodes(graph_.at(anchor).name, graph_.at(anchor).scope);
}

std::vector<ValueId> Edit::nodes(std::string_view op, std::vector<ValueId> in, Attributes attributes, int outputs) {
  for (auto& v : in) v = resolve(v);
  auto out = builder_.nodes(op, std::move(in), std::move(attributes), outputs);
  place_node();
  return out;
}

std::vector<ValueId> Edit::add(const OpDef& op, std::string name, std::vector<ValueId> in, Attributes attributes,
                               std::vector<std::string> output_names) {
  for (auto& v : in) v = resolve(v);
  for (auto& n : output_names)
    if (!n.empty()) n = builder_.unique(n);
  auto out = builder_.add(op, std::move(name), std::move(in), std::move(attributes), output_names);
  place_node();
  return out;
}

void Edit::place_node() {
  place_.push_back(anchor_);
  erased_.push_back(0);
  changed_ = true;
}

ValueId Edit::constant(Tensor value) { return builder_.constant(std::move(value)); }

ValueId Edit::constant(Tensor value, const std::string& name) {
  return builder_.constant(std::move(value), builder_.unique(name));
}

ValueId Edit::resolve(ValueId v) const {
  while (v != ValueId::none && index(v) < replaced_.size() && replaced_[index(v)] != ValueId::none)
    v = replaced_[index(v)];
  return v;
}

void Edit::replace(ValueId old, ValueId by) {
  by = resolve(by);
  if (old == by) return;
  if (replaced_.size() < graph_.values.size()) replaced_.resize(graph_.values.size(), ValueId::none);
  replaced_[index(old)] = by;
  changed_ = true;
}

void Edit::erase(NodeId n) {
  erased_[index(n)] = 1;
  changed_ = true;
}

// `order`: of all nodes, readers after what they read.
void Edit::keep_what_is_read(const std::vector<std::size_t>& order) {
  std::vector<char> read(graph_.values.size());
  const auto use = [&](ValueId v) {
    if (v = resolve(v); v != ValueId::none) read[index(v)] = 1;
  };
  for (const auto& o : graph_.outputs) use(o.value);
  for (std::size_t i = order.size(); i-- > 0;) {
    const Node& node = graph_.nodes[order[i]];
    const auto needs = [&](ValueId v) { return v != ValueId::none && read[index(v)] && !graph_.is_constant(v); };
    if (erased_[order[i]] && std::none_of(node.out.begin(), node.out.end(), needs)) continue;
    erased_[order[i]] = 0;
    std::for_each(node.in.begin(), node.in.end(), use);
  }
}

void Edit::commit() {
  if (!changed_) return;
  // Order: by place, new nodes before the old node they were anchored at, in the order they were written.
  std::vector<std::size_t> order(graph_.nodes.size());
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](std::size_t n) { return n < original_ ? 2 * n + 1 : 2 * place_[n - original_]; };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key(a) < key(b); });

  keep_what_is_read(order);
  std::vector<Node> nodes;
  nodes.reserve(order.size());
  for (const auto n : order) {
    if (erased_[n]) continue;
    Node& node = graph_.nodes[n];
    for (auto& v : node.in) v = resolve(v);
    nodes.push_back(std::move(node));
  }
  for (auto& o : graph_.outputs) o.value = resolve(o.value);
  graph_.nodes = std::move(nodes);
  compact(graph_);
  changed_ = false;
}

void compact(Graph& g) {
  std::vector<char> used(g.values.size());
  const auto use = [&](ValueId v) {
    if (v != ValueId::none) used[index(v)] = 1;
  };
  for (const auto& n : g.nodes) {
    for (const auto v : n.in) use(v);
    for (const auto v : n.out) use(v);
  }
  for (const auto& i : g.inputs) use(i.value);
  for (const auto& o : g.outputs) use(o.value);

  std::vector<ValueId> to(g.values.size(), ValueId::none);
  std::vector<Value> values;
  for (std::size_t v = 0; v < g.values.size(); ++v) {
    if (!used[v]) continue;
    to[v] = static_cast<ValueId>(values.size());
    g.values[v].producer = NodeId::none;
    values.push_back(std::move(g.values[v]));
  }
  g.values = std::move(values);
  const auto renumber = [&](ValueId& v) {
    if (v != ValueId::none) v = to[index(v)];
  };
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    for (auto& v : g.nodes[n].in) renumber(v);
    for (auto& v : g.nodes[n].out) {
      renumber(v);
      if (v != ValueId::none) g.at(v).producer = static_cast<NodeId>(n);
    }
  }
  for (auto& i : g.inputs) renumber(i.value);
  for (auto& o : g.outputs) renumber(o.value);
}

}  // namespace tessera
