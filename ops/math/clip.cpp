#include <limits>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  for (int i = 1; i <= 2; ++i)
    if (c.has(i)) check(count(c.in(i)) == 1, c.op.inputs[i].name, " must be a scalar, got ", c.in(i));
  same_as_input(c);
}

void kernel(const KernelContext& k) {
  with_type(Numeric{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using C = Compute<T>;
    using Limits = std::numeric_limits<C>;
    const C lowest = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    const C highest = Limits::has_infinity ? Limits::infinity() : Limits::max();
    const C low = k.has(1) ? static_cast<C>(k.in(1).template read<T>()[0]) : lowest;
    const C high = k.has(2) ? static_cast<C>(k.in(2).template read<T>()[0]) : highest;
    map_values(k.in(0).template read<T>().data(), k.out(0).template write<T>().data(), k.in(0).size(),
               [low, high](C x) {
                 x = x < low ? low : x;  // in this order NaN is kept, and `max` wins over a `min` above it
                 return x > high ? high : x;
               });
  });
}

// dX = dY where min <= X <= max; the bounds get dY where they took X's place. The driver sums these to scalars.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), dy = g.dout(0), zero = g.scalar_like(dy, 0);
  const auto either = [&](std::string_view op, ValueId a, ValueId b) {
    return a == ValueId::none ? b : b == ValueId::none ? a : g.node(op, {a, b});
  };
  ValueId inside = ValueId::none, below = ValueId::none, above = ValueId::none;
  if (g.has(1)) {
    below = g.node("Less", {x, g.in(1)});
    inside = g.node("Not", {below});
    if (g.has(2)) below = g.node("And", {below, g.node("LessOrEqual", {g.in(1), g.in(2)})});
  }
  if (g.has(2)) {
    above = g.node("Greater", {x, g.in(2)});
    inside = either("And", inside, g.node("Not", {above}));
    if (g.has(1)) above = g.node("Or", {above, g.node("Greater", {g.in(1), g.in(2)})});
  }
  const auto where = [&](ValueId mask) { return mask == ValueId::none ? mask : g.node("Where", {mask, dy, zero}); };
  std::vector<ValueId> grads{inside == ValueId::none ? dy : where(inside), where(below), where(above)};
  grads.resize(static_cast<std::size_t>(g.inputs()), ValueId::none);
  return grads;
}

// Until opset 10 the bounds were attributes.
void bounds_to_inputs(RewriteContext& c) {
  c.in.resize(3, ValueId::none);
  int i = 1;
  for (const char* name : {"min", "max"}) {
    if (const auto it = c.attributes.find(name); it != c.attributes.end()) {
      const auto* bound = std::get_if<float>(&it->second);
      check(bound != nullptr, "attribute '", name, "' must be a float");
      c.in[static_cast<std::size_t>(i)] = c.build.scalar_like(c.in[0], *bound);
      c.attributes.erase(it);
    }
    ++i;
  }
}

}  // namespace

extern constinit const OpDef op_clip = define({
    .name = "Clip",
    .since = 13,
    .doc = "Elements below min become min, then those above max become max. Without a bound that side is open.",
    .source = "ONNX Clip-13",
    .inputs = {{"input", "T", "any shape"},
               {"min", "T", "scalar", Presence::optional},
               {"max", "T", "scalar", Presence::optional}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::numeric}},
    .shape = shape,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{11, bounds_to_inputs}},
    .examples = {"{-2, 0.5, 3}; -1; 1 -> {-1, 0.5, 1}", "{-2, 0.5, 3}; _; 1 -> {-2, 0.5, 1}",
                 "{-2, 0.5, 3}; 0 -> {0, 0.5, 3}", "{-2, 0.5, 3}; 2; 1 -> {1, 1, 1}",
                 "i64{-2, 0, 3}; i64 -1; i64 1 -> i64{-1, 0, 1}"},
});

}  // namespace tessera
