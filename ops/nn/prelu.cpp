#include "ops/broadcast_axis.h"
#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

using Elements = Types<float, double, f16, bf16, std::int64_t, std::int32_t, std::uint64_t, std::uint32_t>;

void shape(ShapeContext& c) {
  check(broadcasts_to(c.in(1), c.in(0)), "slope ", c.in(1), " does not broadcast to X ", c.in(0));
  c.out(0, c.in(0));
}

void kernel(const KernelContext& k) {
  map2<Elements>(k, [](auto x, auto slope) { return x < 0 ? wrapping_mul(x, slope) : x; });  // keeps NaN
}

// dX = dY slope where X < 0, else dY; dslope = dY X where X < 0, else 0.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), dy = g.dout(0), zero = g.scalar_like(x, 0), negative = g.node("Less", {x, zero});
  const auto below = [&](ValueId v, ValueId otherwise) {
    return g.node("Where", {negative, g.node("Mul", {dy, v}), otherwise});
  };
  return {g.needs(0) ? below(g.in(1), dy) : ValueId::none, g.needs(1) ? below(x, zero) : ValueId::none};
}

// A vector of slopes was one of the channels, axis 1.
void slope_of_channels(RewriteContext& c) {
  if (!c.has(0) || !c.has(1)) return;
  const auto slope = c.build.shape(c.in[1]);
  if (slope && slope->rank() == 1 && (*slope)[0] != 1) c.in[1] = along_axis(c.build, c.in[1], c.in[0], 1);
}

}  // namespace

extern constinit const OpDef op_prelu = define({
    .name = "PRelu",
    .since = 16,
    .doc = "Y = X where X >= 0, else slope X, elementwise.",
    .source = "ONNX PRelu-16; He et al., ICCV 2015",
    .inputs = {{"X", "T", "any shape"}, {"slope", "T", "broadcasts to X"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .types = {{"T", set_of(Elements{})}},
    .shape = shape,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{7, slope_of_channels}},
    .examples = {"{-1, 0.5, -2}; {2, 3, -0.5} -> {-2, 0.5, 1}",
                 "{{-1, -2}, {3, -4}}; {0.5, 0.25} -> {{-0.5, -0.5}, {3, -1}}",
                 "{{-1, -2}, {3, -4}}; {{2}, {0.5}} -> {{-2, -4}, {3, -2}}", "{-1, 2}; 0.5 -> {-0.5, 2}",
                 "{inf, -inf, nan}; 0.5 -> {inf, -inf, nan}", "i32{-3, 4}; i32{2, 2} -> i32{-6, 4}",
                 "u32{3, 4}; u32{2, 2} -> u32{3, 4}"},
});

}  // namespace tessera
