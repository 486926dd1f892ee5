// A B + b, with b one row for all rows of the product, becomes one Gemm: the sums of the product begin at b, so adding
// it costs no sweep over the result.
//
//   Add(MatMul(x [1, 4096, 1536], W [1536, 8960]), b [8960])
//     -> Reshape(Gemm(Reshape(x, [4096, 1536]), W, b), [1, 4096, 8960])      Reshapes are views
//   Add(Gemm(x, W), b) -> Gemm(x, W, b), and so for WideMatMul
//   Add(Reshape(MatMul(x, W)), b)    where the Reshape keeps the rows
#include "runtime/op/reshaped.h"
#include "runtime/pass/replace_matches.h"

namespace tessera {
namespace {

struct Bias {
  NodeId last, product;
  ValueId row, result;
  std::vector<NodeId> nodes;
};

// The product that computes v, seen through Reshapes that keep its rows whole.
const Node* product(const Graph& g, Match& m, ValueId v) {
  const ValueId end = v;
  while (const Node* view = m.by(v, "Reshape")) v = view->in[0];
  const Node* n = nullptr;
  for (const auto* op : {"MatMul", "Gemm", "tessera::WideMatMul"})
    if (!n) n = m.by(v, op);
  if (!n || (n->in.size() > 2 && n->in[2] != ValueId::none)) return nullptr;
  const auto &a = g.at(n->in[0]).shape, &b = g.at(n->in[1]).shape, &y = g.at(v).shape, &full = g.at(end).shape;
  if (!m.wants(a && b && y && full, "its shapes are not known") ||
      !m.wants(g.at(v).dtype == DType::f32, "it is ", g.at(v).dtype, ", not f32") ||
      !m.wants(b->rank() >= 2 && (n->op->name != "MatMul" || (a->rank() >= 2 && b->rank() == 2 && count(*a) > 0)),
               "it is not one matrix for all rows of the other") ||
      !m.wants(full->rank() > 0 && full->back() == y->back(), "a Reshape between changes the length of its rows"))
    return nullptr;
  return n;
}

std::optional<Bias> bias(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest) {
  const Node& root = g.at(n);
  if (root.op->name != "Add" || !root.op->domain.empty()) return std::nullopt;
  for (const std::size_t i : {0, 1}) {
    Match m(g, uses, furthest);
    m.add(n);
    const ValueId full = root.in[i], row = root.in[1 - i];
    const Node* by = product(g, m, full);
    if (!by) continue;
    const Shape& y = *g.at(full).shape;
    const auto& r = g.at(row).shape;
    const bool is_row =
        r && r->rank() > 0 && r->back() == y.back() && count(*r) == y.back() && g.at(root.out[0]).shape == y;
    if (!m.wants(is_row, "'", g.at(row).name, "' is not one row for all of '", g.at(full).name, "'") ||
        !m.wants_no_other_readers(root.out[0]))
      continue;
    return Bias{n, g.at(by->out[0]).producer, row, root.out[0], m.nodes()};
  }
  return std::nullopt;
}

int fuse_bias(Graph& g, const Registry& registry) {
  return replace_matches(g, registry, bias, [&g](Edit& edit, const Bias& c) {
    const Node product = g.at(c.product);
    const Shape full = *g.at(c.result).shape;
    const ValueId row = reshaped(edit, c.row, Shape{full.back()});
    if (product.op->name == "WideMatMul")
      return reshaped(edit, edit.node("tessera::WideMatMul", {product.in[0], product.in[1], row}), full);
    if (product.op->name == "Gemm") {
      Attributes attributes = product.attributes;
      std::erase_if(attributes, [](const auto& a) { return a.first == "beta"; });
      return reshaped(edit, edit.node("Gemm", {product.in[0], product.in[1], row}, std::move(attributes)), full);
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
    .examples = {{"x: f32[6x5], w: f32[5x7], b: f32[7]", "Add(MatMul(x, w), b)", "Gemm(x, w, b)"},
                 {"x: f32[2x3x5], w: f32[5x7], b: f32[7]", "Add(MatMul(x, w), b)",
                  "rows = Reshape(x, i64{6, 5}, allowzero=1); Reshape(Gemm(rows, w, b), i64{2, 3, 7}, allowzero=1)"}},
    .near_misses =
        [](const Graph& g) {
          return near_misses(g, bias, {"MatMul", "Gemm", "WideMatMul"});
        },
};

}  // namespace tessera
