// A B + b, with b one row for all rows of the product, becomes one Gemm: the sums of the product begin at b, so adding
// it costs no sweep over the result.
//
//   Add(MatMul(x [1, 4096, 1536], W [1536, 8960]), b [8960])
//     -> Reshape(Gemm(Reshape(x, [4096, 1536]), W, b), [1, 4096, 8960])      Reshapes are views
//   Add(Gemm(x, W), b) -> Gemm(x, W, b), and so for WideMatMul
#include "runtime/op/reshaped.h"
#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

struct Bias {
  NodeId last;
  ValueId product, row, result;
  std::vector<NodeId> nodes;
};

bool is_wide(const Node& n) { return n.op->domain == "tessera" && n.op->name == "WideMatMul"; }

bool is_product(const Graph& g, const Node& n) {
  if (g.at(n.out[0]).dtype != DType::f32) return false;
  const bool free = n.in.size() < 3 || n.in[2] == ValueId::none;
  const auto &a = g.at(n.in[0]).shape, &b = g.at(n.in[1]).shape;
  if (is_wide(n)) return free && b && b->rank() >= 2;
  if (!n.op->domain.empty()) return false;
  if (n.op->name == "Gemm") return free;
  if (n.op->name != "MatMul") return false;
  return a && b && a->rank() >= 2 && b->rank() == 2 && count(*a) > 0;  // one B for all rows
}

std::optional<Bias> bias(const Graph& g, const Uses& uses, NodeId n, std::string& reason) {
  const Node& root = g.at(n);
  if (root.op->name != "Add" || !root.op->domain.empty()) return std::nullopt;
  for (const std::size_t i : {0, 1}) {
    const ValueId product = root.in[i], row = root.in[1 - i];
    const NodeId by = g.at(product).producer;
    if (by == NodeId::none || !is_product(g, g.at(by))) continue;
    const auto &full = g.at(product).shape, &small = g.at(row).shape;
    if (!full || !small || g.at(root.out[0]).shape != full || small->rank() == 0 || small->back() != full->back() ||
        count(*small) != full->back())
      continue;
    if (Match(g, uses).only_reader(product) == NodeId::none) {
      reason = concat("'", g.at(product).name, "' before it is also read by others");
      continue;
    }
    return Bias{n, product, row, root.out[0], {by, n}};
  }
  return std::nullopt;
}

bool fuse_bias(Graph& g, const Registry& registry) {
  return replace_matches(g, registry, bias, [&g](Edit& edit, const Bias& c) {
    const Node product = g.at(g.at(c.product).producer);
    const Shape full = *g.at(c.product).shape;
    const ValueId row = reshaped(edit, c.row, Shape{full.back()});
    if (is_wide(product)) return edit.node("tessera::WideMatMul", {product.in[0], product.in[1], row});
    if (product.op->name == "Gemm") {
      Attributes attributes = product.attributes;
      std::erase_if(attributes, [](const auto& a) { return a.first == "beta"; });
      return edit.node("Gemm", {product.in[0], product.in[1], row}, std::move(attributes));
    }
    const Shape x = *g.at(product.in[0]).shape;
    const ValueId rows = reshaped(edit, product.in[0], Shape{count(x) / x.back(), x.back()});
    return reshaped(edit, edit.node("Gemm", {rows, product.in[1], row}), full);
  });
}

}  // namespace

const PassDef fuse_bias_pass{
    .name = "fuse_bias",
    .doc =
        "Lets a matrix product of f32 add the bias that an Add adds after it: MatMul or Gemm, then a row for all "
        "rows, becomes Gemm.",
    .source = "ONNX Gemm-13; torch.nn.Linear as exported on inputs of more than two axes",
    .run = fuse_bias,
    .near_misses = [](const Graph& g) { return near_misses(g, bias); },
};

}  // namespace tessera
