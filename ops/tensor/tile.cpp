#include "ops/strided_copy.h"
#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  Shape y = c.in(0);
  const Shape repeats = integers(c.value(1));
  check(repeats.size() == y.size(), "repeats has ", repeats.size(), " entries for an input of rank ", y.size());
  for (std::size_t a = 0; a < y.size(); ++a) {
    check(repeats[a] >= 0, "repeats has an entry of ", repeats[a]);
    check(y[a] == 0 || repeats[a] <= (std::int64_t{1} << 62) / y[a], "repeats ", repeats, " of ", c.in(0),
          " are too many");
    y[a] *= repeats[a];
  }
  c.out(0, std::move(y));
}

// Seen with every axis split in [repeat, size], a tile is a broadcast along the repeats.
void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  Tensor& y = k.out(0);
  if (y.size() == 0) return;
  const Shape dense = row_major_strides(x.shape());
  Shape dims, from;
  for (std::size_t a = 0; a < dense.size(); ++a) {
    dims.push_back(y.shape()[a] / x.shape()[a]);
    from.push_back(0);
    dims.push_back(x.shape()[a]);
    from.push_back(dense[a]);
  }
  strided_copy(x.dtype(), dims, x.raw(), from, y.raw(), row_major_strides(dims));
}

std::vector<ValueId> gradient(GradContext& g) {
  const Shape x = *g.shape(g.in(0)), y = *g.shape(g.out(0));
  if (count(x) == 0) return {reshaped(g, g.dout(0), x)};
  Shape split, axes;
  for (std::size_t a = 0; a < x.size(); ++a) {
    axes.push_back(static_cast<std::int64_t>(split.size()));
    split.push_back(y[a] / x[a]);
    split.push_back(x[a]);
  }
  const ValueId parts = reshaped(g, g.dout(0), split);
  return {g.node("ReduceSum", {parts, g.ints(axes)},
                 {{"keepdims", std::int64_t{0}}, {"noop_with_empty_axes", std::int64_t{1}}})};
}

// Two scalars said how often, and along which axis.
void along_one_axis(RewriteContext& c) {
  const auto scalar = [&](std::size_t i) {
    const Tensor* t = c.has(static_cast<int>(i)) ? c.build.value(c.in[i]) : nullptr;
    check(t != nullptr && t->size() == 1, Code::unsupported, "before opset 6 tiles and axis must be constant scalars");
    return converted(*t, DType::i64).read<std::int64_t>()[0];
  };
  const auto x = c.has(0) ? c.build.shape(c.in[0]) : std::nullopt;
  check(x.has_value(), Code::unsupported, "before opset 6 the shape of input must be known");
  Shape repeats(x->size(), 1);
  repeats[static_cast<std::size_t>(normal_axis(scalar(2), x->rank()))] = scalar(1);
  c.in = {c.in[0], c.build.ints(repeats)};
}

}  // namespace

extern constinit const OpDef op_tile = define({
    .name = "Tile",
    .since = 13,
    .doc = "The input repeated along each axis.",
    .source = "ONNX Tile-13",
    .inputs = {{"input", "T", "any shape"}, {"repeats", "i64", "[rank of input]"}},
    .outputs = {{"output", "T", "dims times repeats"}},
    .types = {{"T", dtypes::all}},
    .shape_reads = {1},
    .shape = shape,
    .identity_when = [](const ShapeContext& c) { return c.out(0) == c.in(0); },
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{6, along_one_axis}},
    .examples = {"{1, 2}; i64{2} -> {1, 2, 1, 2}", "{{1, 2}}; i64{2, 2} -> {{1, 2, 1, 2}, {1, 2, 1, 2}}",
                 "{1, 2}; i64{0} -> f32[0]{}", "3; i64[0]{} -> 3"},
});

}  // namespace tessera
