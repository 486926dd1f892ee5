// A pointwise operator broadcasts by itself: where it reads an Expand, what was expanded gives the same. F.normalize
// writes the length of each vector as large as the vectors (the norms of video VAEs), masks come expanded to all heads.
#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

struct Broadcast {
  NodeId last;
  std::vector<ValueId> in;
  ValueId result;
  std::vector<NodeId> nodes;
};

// The common shape of what is given.
std::optional<Shape> common(const Graph& g, const std::vector<ValueId>& in) {
  Shape all;
  for (const ValueId v : in) {
    if (v == ValueId::none) continue;
    if (!g.at(v).shape) return std::nullopt;
    all = broadcast(all, *g.at(v).shape);
  }
  return all;
}

std::optional<Broadcast> broadcast_inputs(const Graph& g, const Uses& uses, NodeId n, Furthest*) {
  const Node& node = g.at(n);
  if (!node.op->pointwise || node.in.size() < 2 || node.out.size() != 1 || !g.at(node.out[0]).shape)
    return std::nullopt;
  if (node.op->user) return std::nullopt;  // a plugin's kernel may count on inputs as large as they were
  if (node.op->name == "PRelu" || node.op->name == "Fused") return std::nullopt;  // x is not broadcast to its slope
  std::vector<ValueId> in = node.in;
  for (ValueId& v : in) {
    const ValueId full = v;
    const Node* expand = Match(g, uses).by(full, "Expand");
    if (!expand || !common(g, in)) continue;
    v = expand->in[0];
    if (common(g, in) != g.at(node.out[0]).shape) v = full;
  }
  if (in == node.in) return std::nullopt;
  return Broadcast{n, std::move(in), node.out[0], {n}};
}

int drop_expand(Graph& g, const Registry& registry) {
  return replace_matches(g, registry, broadcast_inputs, [&g](Edit& edit, const Broadcast& c) {
    const Node& node = g.at(c.last);
    const std::string domain = node.op->domain.empty() ? "" : concat(node.op->domain, "::");
    return edit.node(concat(domain, node.op->name), c.in, node.attributes);
  });
}

}  // namespace

const PassDef drop_expand_pass{
    .name = "drop_expand",
    .doc =
        "Lets pointwise operators read what an Expand before them enlarges, where the result is as large without it.",
    .source = "ONNX broadcasting; torch.nn.functional.normalize as exported",
    .run = drop_expand,
    .examples = {{"x: f32[2x3x8], length: f32[2x1x8]", "Div(x, Expand(length, i64{2, 3, 8}))", "Div(x, length)"}},
};

}  // namespace tessera
