#pragma once
// A product of two tensors whose axes carry labels, whichever operator wrote it: MatMul, Einsum, or Gemm without C.
#include "runtime/pass/attention/strided_view.h"

namespace tessera {

struct LabelledProduct {
  ValueId left = ValueId::none, right = ValueId::none, out = ValueId::none;
  std::vector<int> left_labels, right_labels, out_labels;  // one per axis, distinct
  std::vector<std::int64_t> sizes;                         // by label
  double factor = 1;                                       // alpha of Gemm

  std::int64_t size(int label) const { return sizes[static_cast<std::size_t>(label)]; }
};

// Nothing when the node is no such product, an operand has a repeated label, or a shape is not known.
std::optional<LabelledProduct> product_at(const Graph& g, const Node& n);

bool has_label(const std::vector<int>& labels, int label);
// The digits of axis `label` in a view whose axes carry `labels`; where it is missing or of size 1, stride 0.
Axis axis_of(const StridedView& view, const std::vector<int>& labels, int label, std::int64_t size);

}  // namespace tessera
