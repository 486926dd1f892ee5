#pragma once
// The gradient of the Scatter operators for every reduction, written in ordinary nodes.
#include <functional>

#include "ops/fill.h"
#include "runtime/op/context.h"

namespace tessera {

// How the operator addresses elements: `scatter(data, updates, reduction)` is the operator itself with other tensors,
// `gather(x)` the elements of x at its indices.
struct ScatterNodes {
  std::function<ValueId(ValueId, ValueId, const char*)> scatter;
  std::function<ValueId(ValueId)> gather;
};

// y = f_0 f_1 ... at each place: dy times the product of the other factors. Of the factors that are not zero it is the
// whole product over the own one; a single zero leaves a gradient to itself alone.
inline std::vector<ValueId> product_gradient(GradContext& g, const ScatterNodes& at) {
  const ValueId zero = g.scalar_like(g.in(0), 0), one = g.scalar_like(g.in(0), 1);
  const auto is_zero = [&](ValueId f) { return g.node("Equal", {f, zero}); };
  const auto counted = [&](ValueId f) { return g.node("Where", {is_zero(f), one, zero}); };
  const auto not_zero = [&](ValueId f) { return g.node("Where", {is_zero(f), one, f}); };
  const ValueId product = at.scatter(not_zero(g.in(0)), not_zero(g.in(2)), "mul");
  const ValueId zeros = at.scatter(counted(g.in(0)), counted(g.in(2)), "add");
  const auto others = [&](ValueId f, ValueId product_at, ValueId zeros_at, ValueId dy) {
    const ValueId of_zero = g.node("Where", {g.node("Equal", {zeros_at, one}), product_at, zero});
    const ValueId of_others =
        g.node("Where", {g.node("Equal", {zeros_at, zero}), g.node("Div", {product_at, not_zero(f)}), zero});
    return g.node("Mul", {dy, g.node("Where", {is_zero(f), of_zero, of_others})});
  };
  const ValueId data = g.needs(0) ? others(g.in(0), product, zeros, g.dout(0)) : ValueId::none;
  const ValueId updates =
      g.needs(2) ? others(g.in(2), at.gather(product), at.gather(zeros), at.gather(g.dout(0))) : ValueId::none;
  return {data, ValueId::none, updates};
}

// y = max or min: dy goes to the elements that are it, in equal parts.
inline std::vector<ValueId> extreme_gradient(GradContext& g, const ScatterNodes& at) {
  const ValueId y = g.out(0);
  const auto is = [&](ValueId x, ValueId extreme) { return g.cast(g.node("Equal", {x, extreme}), g.dtype(g.in(0))); };
  const ValueId data_is = is(g.in(0), y), updates_are = is(g.in(2), at.gather(y));
  const ValueId share = g.node("Div", {g.dout(0), at.scatter(data_is, updates_are, "add")});
  return {g.needs(0) ? g.node("Mul", {share, data_is}) : ValueId::none, ValueId::none,
          g.needs(2) ? g.node("Mul", {at.gather(share), updates_are}) : ValueId::none};
}

inline std::vector<ValueId> scatter_gradient(GradContext& g, const ScatterNodes& at) {
  const auto reduction = g.attr().text("reduction");
  if (reduction == "mul") return product_gradient(g, at);
  if (reduction == "max" || reduction == "min") return extreme_gradient(g, at);
  ValueId data = g.dout(0);  // where nothing was overwritten
  if (reduction == "none" && g.needs(0)) data = at.scatter(g.dout(0), zeros_like(g, g.in(2)), "none");
  return {data, ValueId::none, g.needs(2) ? at.gather(g.dout(0)) : ValueId::none};
}

}  // namespace tessera
