#pragma once
// Shared by Elu, Celu and Selu: linear above 0, an exponential that levels off below.
#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {

// y = scale x where x >= 0, else depth (e^(x / width) - 1).
struct ExponentialUnit {
  double scale, depth, width;
};

inline void exponential_units(const KernelContext& k, const ExponentialUnit& unit) {
  map<Floats>(k, [unit, rate = 1 / unit.width](auto x) {
    using C = decltype(x);
    const C below = static_cast<C>(unit.depth) * vector_math::expm1(x * static_cast<C>(rate));
    return x < 0 ? below : static_cast<C>(unit.scale) * x;  // keeps NaN
  });
}

// dx = dy scale where x >= 0, else dy depth / width e^(x / width).
inline std::vector<ValueId> exponential_units_gradient(GradContext& g, const ExponentialUnit& unit) {
  const ValueId x = g.in(0);
  const ValueId decay = g.node("Exp", {g.node("Mul", {x, g.scalar_like(x, 1 / unit.width)})});
  const ValueId below = g.node("Mul", {decay, g.scalar_like(x, unit.depth / unit.width)});
  const ValueId negative = g.node("Less", {x, g.scalar_like(x, 0)});
  const ValueId slope = g.node("Where", {negative, below, g.scalar_like(x, unit.scale)});
  return {g.node("Mul", {g.dout(0), slope})};
}

}  // namespace tessera
