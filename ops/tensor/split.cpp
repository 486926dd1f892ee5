#include "ops/strided_copy.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const auto axis = static_cast<std::size_t>(c.axis());
  Shape part = c.in(0);
  const std::int64_t size = part[axis], outputs = c.outputs();
  check(outputs > 0, "Split needs an output");
  check(!c.attr.has("num_outputs") || c.attr.integer("num_outputs") == outputs, "num_outputs is ",
        c.attr.has("num_outputs") ? c.attr.integer("num_outputs") : 0, " but the node has ", outputs, " outputs");
  if (!c.has(1)) {
    const std::int64_t chunk = size / outputs + (size % outputs != 0);
    // The last part may be smaller where num_outputs is given: before opset 18, which brought it, all were equal.
    check(c.attr.has("num_outputs") ? chunk * (outputs - 1) <= size : size % outputs == 0, "size ", size,
          " of the axis does not make ", outputs, c.attr.has("num_outputs") ? "" : " equal", " parts");
    for (std::int64_t i = 0, rest = size; i < outputs; ++i, rest -= part[axis]) {
      part[axis] = std::min(chunk, rest);
      c.out(static_cast<int>(i), part);
    }
    return;
  }
  const Shape sizes = integers(c.value(1));
  check(static_cast<std::int64_t>(sizes.size()) == outputs, "split has ", sizes.size(), " sizes for ", outputs,
        " outputs");
  std::int64_t rest = size;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    check(0 <= sizes[i] && sizes[i] <= rest, "split sizes ", sizes, " do not fit size ", size, " of the axis");
    rest -= sizes[i];
    part[axis] = sizes[i];
    c.out(static_cast<int>(i), part);
  }
  check(rest == 0, "split sizes ", sizes, " do not add up to size ", size, " of the axis");
}

void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  const auto axis = static_cast<std::size_t>(k.axis());
  const Shape from = row_major_strides(x.shape());
  const std::int64_t step = from[axis] * static_cast<std::int64_t>(size_of(x.dtype()));
  const auto* at = static_cast<const std::byte*>(x.raw());
  for (int i = 0; i < k.outputs(); ++i) {
    Tensor& y = k.out(i);
    strided_copy(x.dtype(), y.shape(), at, from, y.raw(), row_major_strides(y.shape()));
    at += y.shape()[axis] * step;
  }
}

std::vector<ValueId> gradient(GradContext& g) {
  std::vector<ValueId> parts;
  for (int i = 0; i < g.outputs(); ++i) parts.push_back(g.dout(i));
  return {g.node("Concat", parts, {{"axis", g.attr().integer("axis")}})};
}

}  // namespace

extern constinit const OpDef op_split = define({
    .name = "Split",
    .since = 18,
    .doc =
        "The input cut along an axis: into parts of the given sizes, or into equal parts, the last smaller where the "
        "size is no multiple.",
    .source = "ONNX Split-18",
    .inputs = {{"input", "T", "any shape of rank >= 1"},
               {"split", "i64", "[outputs], sizes along the axis", Presence::optional}},
    .outputs = {{"outputs", "T", "shape of input, but for the axis", Presence::variadic}},
    .attributes = {{"axis", AttributeType::integer, 0, "in [-rank, rank)"},
                   {"num_outputs", AttributeType::integer, {}, "number of equal parts"}},
    .types = {{"T", dtypes::all}},
    .shape_reads = {1},
    .shape = shape,
    .identity_when = [](const ShapeContext& c) { return c.outputs() == 1; },
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{13, [](RewriteContext& c) { c.attribute_to_input("split", 1); }}},
    .examples = {"{1, 2, 3, 4}; num_outputs=2 -> {1, 2}; {3, 4}", "{1, 2, 3}; num_outputs=2 -> {1, 2}; {3}",
                 "{{1, 2, 3}, {4, 5, 6}}; i64{1, 2}; axis=-1 -> {{1}, {4}}; {{2, 3}, {5, 6}}",
                 "{1, 2}; i64{2, 0} -> {1, 2}; f32[0]{}"},
});

}  // namespace tessera
