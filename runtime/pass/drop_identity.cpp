#include "runtime/op/context.h"
#include "runtime/pass/passes.h"

namespace tessera {
namespace {

// The operator's own rule decides; it sees concrete shapes and the constant inputs.
bool is_identity(const Graph& g, const Node& n, const std::vector<char>& used) {
  if (!n.op->identity_when || n.in.empty() || n.in[0] == ValueId::none || n.out[0] == ValueId::none) return false;
  std::vector<TensorType> in;
  std::vector<const Tensor*> values;
  for (const auto v : n.in) {
    if (v != ValueId::none && !g.at(v).shape) return false;
    in.push_back(v == ValueId::none ? TensorType{} : TensorType{g.at(v).dtype, *g.at(v).shape});
    values.push_back(g.is_constant(v) ? &g.at(v).constant : nullptr);
  }
  for (const int i : n.op->shape_reads) {
    const auto at = static_cast<std::size_t>(i);
    if (at < n.in.size() && n.in[at] != ValueId::none && !values[at]) return false;
  }
  ShapeContext context(*n.op, n.attributes, std::move(in), std::move(values), n.out.size());
  for (std::size_t i = 0; i < n.out.size(); ++i) {
    if (n.out[i] == ValueId::none) continue;
    if (!g.at(n.out[i]).shape || (i > 0 && used[index(n.out[i])])) return false;
    context.out(static_cast<int>(i), *g.at(n.out[i]).shape);
  }
  const Value &from = g.at(n.in[0]), &to = g.at(n.out[0]);
  return from.dtype == to.dtype && from.shape == to.shape && n.op->identity_when(context);
}

int drop_identity(Graph& g, const Registry& registry) {
  std::vector<char> used(g.values.size());
  for (const auto& n : g.nodes)
    for (const auto v : n.in)
      if (v != ValueId::none) used[index(v)] = 1;
  for (const auto& o : g.outputs) used[index(o.value)] = 1;

  Edit edit(g, registry);
  int dropped = 0;
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    if (!is_identity(g, g.nodes[n], used)) continue;
    edit.replace(g.nodes[n].out[0], g.nodes[n].in[0]);
    edit.erase(static_cast<NodeId>(n));
    ++dropped;
  }
  edit.commit();
  return dropped;
}

}  // namespace

const PassDef drop_identity_pass{
    .name = "drop_identity",
    .doc =
        "Removes nodes that return their first input unchanged: Cast to the same type, Reshape or Expand to the same "
        "shape, Slice of everything, Dropout outside training, Identity.",
    .source = "each operator's identity_when",
    .run = drop_identity,
    .examples = {{"x: f32[2x8]", "Relu(Reshape(Identity(x), i64{2, 8}))", "Relu(x)"}},
};

}  // namespace tessera
