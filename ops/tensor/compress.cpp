#include "ops/fill.h"
#include "ops/index.h"
#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// The input seen from the axis; flat without one.
AxisView view_of(const Shape& x, const AttributeReader& attr) {
  if (!attr.has("axis")) return AxisView(Shape{count(x)}, 0);
  return AxisView(x, normal_axis(attr.integer("axis"), x.rank()));
}

void shape(ShapeContext& c) {
  const AxisView v = view_of(c.in(0), c.attr);
  check(c.rank(1) == 1 && c.in(1)[0] <= v.axis, "condition has shape ", c.in(1), " for an axis of size ", v.axis);
  std::int64_t kept = 0;
  for (const bool keep : c.value(1).read<bool>()) kept += keep;
  if (!c.attr.has("axis")) return c.out(0, {kept});
  Shape y = c.in(0);
  y[static_cast<std::size_t>(c.axis())] = kept;
  c.out(0, std::move(y));
}

void kernel(const KernelContext& k) {
  const AxisView v = view_of(k.in(0).shape(), k.attr);
  const auto keep = k.in(1).read<bool>();
  const auto bytes = static_cast<std::size_t>(v.inner) * size_of(k.in(0).dtype());
  const auto* from = static_cast<const std::byte*>(k.in(0).raw());
  auto* to = static_cast<std::byte*>(k.out(0).raw());
  if (k.out(0).size() == 0) return;
  for (std::int64_t o = 0; o < v.outer; ++o, from += static_cast<std::size_t>(v.axis) * bytes)
    for (std::size_t i = 0; i < keep.size(); ++i) {
      if (!keep[i]) continue;
      std::memcpy(to, from + i * bytes, bytes);
      to += bytes;
    }
}

// The kept places are where NonZero finds the condition.
std::vector<ValueId> gradient(GradContext& g) {
  const Tensor* condition = g.value(g.in(1));
  if (!condition) return gradient_missing(g);  // shapes that are known during the run only
  Shape kept;
  const auto keep = condition->read<bool>();
  for (std::size_t i = 0; i < keep.size(); ++i)
    if (keep[i]) kept.push_back(static_cast<std::int64_t>(i));
  const Shape x = *g.shape(g.in(0));
  const bool flat = !g.attr().has("axis");
  const ValueId dx = g.node("tessera::GatherGrad", {g.dout(0), g.ints(kept), g.ints(flat ? Shape{count(x)} : x)},
                            {{"axis", flat ? std::int64_t{0} : g.attr().integer("axis")}});
  return {reshaped(g, dx, x)};
}

}  // namespace

extern constinit const OpDef op_compress = define({
    .name = "Compress",
    .since = 11,
    .introduced = 9,
    .doc = "The slices along an axis (elements of the flat input without one) whose condition is true. Slices beyond "
           "the end "
           "of the condition are dropped.",
    .source = "ONNX Compress-11",
    .inputs = {{"input", "T", "any shape of rank >= 1"}, {"condition", "bool", "[at most the size of the axis]"}},
    .outputs = {{"output", "T", "shape of input with the slices kept; a vector without axis"}},
    .attributes = {{"axis", AttributeType::integer, {}, "in [-rank, rank); default: the flat input"}},
    .types = {{"T", dtypes::all}},
    .shape_reads = {1},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2}, {3, 4}, {5, 6}}; bool{false, true, true}; axis=0 -> {{3, 4}, {5, 6}}",
                 "{{1, 2}, {3, 4}}; bool{true}; axis=-1 -> {{1}, {3}}",
                 "{{1, 2}, {3, 4}}; bool{false, true, false, true} -> {2, 4}"},
});

}  // namespace tessera
