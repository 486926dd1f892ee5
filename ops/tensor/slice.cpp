#include "ops/slice_range.h"
#include "ops/strided_copy.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Tensor* axes = c.has(3) ? &c.value(3) : nullptr;
  const Tensor* steps = c.has(4) ? &c.value(4) : nullptr;
  c.out(0, slice_range(c.in(0), c.value(1), c.value(2), axes, steps).size);
}

bool takes_all(const ShapeContext& c) {
  if (c.out(0) != c.in(0)) return false;
  if (!c.has(4)) return true;
  // Equal sizes: every axis is walked whole, forwards or backwards.
  for (const auto s : integers(c.value(4)))
    if (s < 0) return false;
  return true;
}

void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  Tensor& y = k.out(0);
  if (y.size() == 0) return;
  const SliceRange range =
      slice_range(x.shape(), k.in(1), k.in(2), k.has(3) ? &k.in(3) : nullptr, k.has(4) ? &k.in(4) : nullptr);
  const SlicePlace place = slice_place(x.shape(), range);
  const auto* from =
      static_cast<const std::byte*>(x.raw()) + place.offset * static_cast<std::int64_t>(size_of(x.dtype()));
  strided_copy(x.dtype(), y.shape(), from, place.strides, y.raw(), row_major_strides(y.shape()));
}

std::vector<ValueId> gradient(GradContext& g) {
  std::vector<ValueId> in = {g.dout(0), g.ints(*g.shape(g.in(0)))};
  for (int i = 1; i < 5; ++i) in.push_back(g.has(i) ? g.in(i) : ValueId::none);
  return {g.node("tessera::SliceGrad", in)};
}

// Starts, ends and axes were attributes.
void adapt_10(RewriteContext& c) {
  c.attribute_to_input("starts", 1);
  c.attribute_to_input("ends", 2);
  c.attribute_to_input("axes", 3);
}

}  // namespace

extern constinit const OpDef op_slice = define({
    .name = "Slice",
    .since = 13,
    .doc = "Every step-th element from start up to end, along each of the axes. Negative starts and ends count from "
           "the end "
           "and are clamped; a negative step walks backwards.",
    .source = "ONNX Slice-13",
    .inputs = {{"data", "T", "any shape"},
               {"starts", "Tind", "[axes]"},
               {"ends", "Tind", "[axes]; exclusive"},
               {"axes", "Tind", "[axes]; default: the first", Presence::optional},
               {"steps", "Tind", "[axes]; default: 1", Presence::optional}},
    .outputs = {{"output", "T", "rank of data"}},
    .types = {{"T", dtypes::all}, {"Tind", dtypes::indices}},
    .shape_reads = {1, 2, 3, 4},
    .shape = shape,
    .identity_when = takes_all,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{10, adapt_10}},
    .examples = {"{1, 2, 3, 4}; i64{1}; i64{3} -> {2, 3}",
                 "{{1, 2, 3}, {4, 5, 6}}; i64{-2}; i64{1000}; i64{-1} -> {{2, 3}, {5, 6}}",
                 "{1, 2, 3, 4, 5}; i32{-1}; i32{-1000}; i32{0}; i32{-2} -> {5, 3, 1}",
                 "{{1, 2, 3, 4}, {5, 6, 7, 8}}; i64{0, 1}; i64{1, 4}; _; i64{1, 2} -> {{2, 4}}",
                 "{1, 2}; i64{2}; i64{1} -> f32[0]{}"},
});

}  // namespace tessera
