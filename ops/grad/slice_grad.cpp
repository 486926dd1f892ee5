#include "ops/fill.h"
#include "ops/slice_range.h"
#include "ops/strided_copy.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape x = integers(c.value(1));
  const SliceRange range =
      slice_range(x, c.value(2), c.value(3), c.has(4) ? &c.value(4) : nullptr, c.has(5) ? &c.value(5) : nullptr);
  check(range.size == c.in(0), "dY has shape ", c.in(0), ", expected ", range.size);
  c.out(0, x);
}

void kernel(const KernelContext& k) {
  const Tensor& dy = k.in(0);
  Tensor& dx = k.out(0);
  const std::uint64_t zero = 0;
  fill(dx.dtype(), dx.raw(), dx.size(), &zero);
  if (dy.size() == 0) return;
  const SliceRange range =
      slice_range(dx.shape(), k.in(2), k.in(3), k.has(4) ? &k.in(4) : nullptr, k.has(5) ? &k.in(5) : nullptr);
  const SlicePlace place = slice_place(dx.shape(), range);
  auto* to = static_cast<std::byte*>(dx.raw()) + place.offset * static_cast<std::int64_t>(size_of(dx.dtype()));
  strided_copy(dy.dtype(), dy.shape(), dy.raw(), row_major_strides(dy.shape()), to, place.strides);
}

std::vector<ValueId> gradient(GradContext& g) {
  std::vector<ValueId> in = {g.dout(0)};
  for (int i = 2; i < 6; ++i) in.push_back(g.has(i) ? g.in(i) : ValueId::none);
  return {g.node("Slice", in)};
}

}  // namespace

extern constinit const OpDef op_slice_grad = define({
    .name = "SliceGrad",
    .domain = "tessera",
    .since = 1,
    .doc = "Gradient of Slice: zeros of the shape of data with dY at the places of the slice.",
    .source = "the transpose of ONNX Slice-13",
    .inputs = {{"dY", "T", "shape of Slice's output"},
               {"data_shape", "i64", "[rank of data]"},
               {"starts", "Tind", "as given to Slice"},
               {"ends", "Tind", "as given to Slice"},
               {"axes", "Tind", "as given to Slice", Presence::optional},
               {"steps", "Tind", "as given to Slice", Presence::optional}},
    .outputs = {{"dX", "T", "data_shape"}},
    .types = {{"T", dtypes::floats}, {"Tind", dtypes::indices}},
    .shape_reads = {1, 2, 3, 4, 5},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{2, 3}; i64{4}; i64{1}; i64{3} -> {0, 2, 3, 0}",
                 "{5, 3}; i64{4}; i64{-1}; i64{-1000}; i64{0}; i64{-2} -> {0, 3, 0, 5}"},
});

}  // namespace tessera
