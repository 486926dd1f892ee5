#include <algorithm>

#include "runtime/op/context.h"

namespace tessera {
namespace {

// Labels of an operand [batch... x rows x columns] as it lies in the file.
std::string labels(std::string rows, const std::string& columns, bool transposed, bool batch_inside) {
  const std::string last = transposed ? rows : columns;
  const std::string other = transposed ? columns : rows;
  return batch_inside ? other + "..." + last : "..." + other + last;
}

// v with its axes in the order of numpy.matmul; ranks are known.
ValueId turned(NodeBuilder& b, ValueId v, bool transposed, bool batch_inside) {
  const int rank = b.shape(v)->rank();
  if (rank < 2) return v;  // a vector stays one
  std::vector<std::int64_t> order;
  for (int a = 0; a < rank - 1; ++a) order.push_back(batch_inside ? (a + 1) % (rank - 1) : a);
  order.push_back(rank - 1);
  if (transposed) std::swap(order[order.size() - 2], order.back());
  return std::is_sorted(order.begin(), order.end()) ? v : b.node("Transpose", {v}, {{"perm", order}});
}

void expand(RewriteContext& c) {
  NodeBuilder& b = c.build;
  const auto attr = c.attr();
  const bool a_turned = attr.flag("transA"), b_turned = attr.flag("transB"), a_batch = attr.flag("transBatchA"),
             b_batch = attr.flag("transBatchB");
  const float alpha = attr.real("alpha");
  // Sixteen bits would be rounded, and overflow, before they are scaled.
  const auto operand = [&](std::size_t i) { return alpha == 1 ? c.in[i] : b.widened(c.in[i]); };
  const ValueId lhs = operand(0), rhs = operand(1);
  ValueId y;
  if (const bool plain = !a_turned && !b_turned && !a_batch && !b_batch; plain || (b.shape(lhs) && b.shape(rhs)))
    y = plain ? b.node("MatMul", {lhs, rhs})
              : b.node("MatMul", {turned(b, lhs, a_turned, a_batch), turned(b, rhs, b_turned, b_batch)});
  else  // ranks are not known yet
    y = b.node(
        "Einsum", {lhs, rhs},
        {{"equation", labels("i", "j", a_turned, a_batch) + "," + labels("j", "k", b_turned, b_batch) + "->...ik"}});
  c.become({alpha == 1 ? y : b.cast(b.node("Mul", {y, b.scalar_like(y, double(alpha))}), b.dtype(c.in[0]))});
}

}  // namespace

extern constinit const OpDef op_fused_matmul = define({
    .name = "FusedMatMul",
    .domain = "com.microsoft",
    .doc = "Y = alpha A B as MatMul multiplies, of operands that lie transposed.",
    .source = "ONNX Runtime contrib operators, com.microsoft.FusedMatMul-1",
    .inputs = {{"A", "T", "[... x M x K]"}, {"B", "T", "[... x K x N]"}},
    .outputs = {{"Y", "T", "[... x M x N]"}},
    .attributes = {{"alpha", AttributeType::real, 1.0f, "factor"},
                   {"transA", AttributeType::integer, 0, "1: A lies as [... x K x M]"},
                   {"transB", AttributeType::integer, 0, "1: B lies as [... x N x K]"},
                   {"transBatchA", AttributeType::integer, 0, "1: A lies as [M x ... x K], or [K x ... x M]"},
                   {"transBatchB", AttributeType::integer, 0, "1: B lies as [K x ... x N], or [N x ... x K]"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
