#pragma once
// Shared by the global pools, which import writes as reductions over all axes behind batch and channels.
#include "runtime/op/context.h"

namespace tessera {

// The axes 2, 3, ... of x, as a constant where its rank is known.
inline ValueId position_axes(NodeBuilder& b, ValueId x) {
  if (const auto shape = b.shape(x)) {
    std::vector<std::int64_t> axes;
    for (int a = 2; a < shape->rank(); ++a) axes.push_back(a);
    return b.ints(axes);
  }
  const auto number = [&](std::int64_t n) { return b.constant(Tensor::scalar(n)); };
  return b.node("Range", {number(2), b.node("Size", {b.node("Shape", {x})}), number(1)});
}

// X [N C in...] reduced by `op`, such as "ReduceMean", to [N C 1...].
inline void reduce_positions(RewriteContext& c, std::string_view op) {
  const ValueId axes = position_axes(c.build, c.in[0]);
  c.become({c.build.node(op, {c.in[0], axes}, {{"noop_with_empty_axes", std::int64_t{1}}})});
}

}  // namespace tessera
