#pragma once
// From a softmax down to the product with the values, and on to where the result is wanted.
#include "runtime/pass/attention/product.h"

namespace tessera {

struct Probabilities {
  LabelledProduct product;
  bool left = true;      // p is the left operand
  bool guarded = false;  // Where(IsNaN(p), 0, p) stands between
  StridedView view{};    // the operand as elements of the softmax's output, axes as its labels
};

// Nothing when p is wanted for anything but one product; `reason` then names the node or edge.
std::optional<Probabilities> probabilities_of(const Graph& g, const Uses& uses, NodeId softmax, std::string& reason);

// What a value becomes by Transpose and Reshape alone, while nobody else reads it: the last one first, itself last.
// Each has digits for every axis of `shape` (the value's own, or a division of it), with strides in the result's
// elements; `base` is the result.
std::vector<StridedView> results_of(const Graph& g, const Uses& uses, ValueId v, const Shape& shape);

}  // namespace tessera
