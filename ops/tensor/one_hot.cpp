#include "ops/convert.h"
#include "ops/fill.h"
#include "ops/index.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// The axis of the output that the hot ones lie along.
std::size_t new_axis(const AttributeReader& attr, int rank_of_indices) {
  return static_cast<std::size_t>(normal_axis(attr.integer("axis"), rank_of_indices + 1));
}

void shape(ShapeContext& c) {
  check(c.value(1).size() == 1, "depth must have one element, got shape ", c.in(1));
  check(c.in(2) == Shape{2}, "values must be [off, on], got shape ", c.in(2));
  const std::int64_t depth = converted(c.value(1), DType::i64).read<std::int64_t>()[0];
  check(depth >= 0, "depth is ", depth);
  Shape y = c.in(0);
  y.insert(y.begin() + new_axis(c.attr, c.rank(0)), depth);
  c.out(0, std::move(y));
}

void kernel(const KernelContext& k) {
  Tensor& y = k.out(0);
  const auto width = size_of(y.dtype());
  fill(y.dtype(), y.raw(), y.size(), k.in(2).raw());
  if (y.size() == 0) return;
  const AxisView v(y.shape(), static_cast<int>(new_axis(k.attr, k.in(0).rank())));
  Tensor places(DType::i64, k.in(0).shape());
  convert_elements(k.in(0), places);
  const std::int64_t* at = places.read<std::int64_t>().data();
  const auto* on = static_cast<const std::byte*>(k.in(2).raw()) + width;
  for (std::int64_t i = 0; i < places.size(); ++i) {
    if (at[i] < -v.axis || at[i] >= v.axis) continue;  // outside: off everywhere
    const std::int64_t place = at[i] < 0 ? at[i] + v.axis : at[i];
    const std::int64_t to = (i / v.inner * v.axis + place) * v.inner + i % v.inner;
    std::memcpy(static_cast<std::byte*>(y.raw()) + to * static_cast<std::int64_t>(width), on, width);
  }
}

// y = off + (on - off) hot, where hot has ones for on and zeros for off.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId both = g.constant(converted(Tensor::vector({0, 1}), g.dtype(g.in(2))));
  const ValueId hot = g.node("OneHot", {g.in(0), g.in(1), both}, {{"axis", g.attr().integer("axis")}});
  const auto sum = [&](ValueId v) {
    const ValueId scalar = g.node("ReduceSum", {v}, {{"keepdims", std::int64_t{0}}});
    return reshaped(g, scalar, Shape{1});
  };
  const ValueId on = sum(g.node("Mul", {g.dout(0), hot}));
  const ValueId values = g.node("Concat", {g.node("Sub", {sum(g.dout(0)), on}), on}, {{"axis", std::int64_t{0}}});
  return {ValueId::none, ValueId::none, values};
}

}  // namespace

extern constinit const OpDef op_one_hot = define({
    .name = "OneHot",
    .since = 11,
    .introduced = 9,
    .doc = "A new axis of size depth that holds the on value at the index and the off value elsewhere. Indices outside "
           "[-depth, depth) give off values only.",
    .source = "ONNX OneHot-11",
    .inputs = {{"indices", "T1", "any shape"}, {"depth", "T2", "scalar"}, {"values", "T3", "[2]: off, on"}},
    .outputs = {{"output", "T3", "shape of indices with the axis"}},
    .attributes = {{"axis", AttributeType::integer, -1, "in [-rank - 1, rank]"}},
    .types = {{"T1", dtypes::numeric}, {"T2", dtypes::numeric}, {"T3", dtypes::all}},
    .shape_reads = {1},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"i64{1, -1}; i64 3; f32{0, 5} -> {{0, 5, 0}, {0, 0, 5}}",
                 "i64{0, 3}; i64{2}; i32{0, 1}; axis=0 -> i32{{1, 0}, {0, 0}}"},
});

}  // namespace tessera
