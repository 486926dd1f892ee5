#include "ops/strided_copy.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check(c.rank(1) == 1, "shape must be a vector, got shape ", c.in(1));
  const Shape asked = integers(c.value(1));
  for (const auto d : asked) check(d >= 0, "shape has a dim of ", d);
  c.out(0, broadcast(c.in(0), asked));
}

void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  Tensor& y = k.out(0);
  strided_copy(x.dtype(), y.shape(), x.raw(), broadcast_strides(x.shape(), y.shape()), y.raw(),
               row_major_strides(y.shape()));
}

// Reduced over the broadcast axes by the driver.
std::vector<ValueId> gradient(GradContext& g) { return {g.dout(0)}; }

}  // namespace

extern constinit const OpDef op_expand = define({
    .name = "Expand",
    .since = 13,
    .introduced = 8,
    .doc = "The input broadcast with a shape. Dims of 1 in the shape keep the input's.",
    .source = "ONNX Expand-13",
    .inputs = {{"input", "T", "any shape"}, {"shape", "i64", "[any rank], broadcasts with the input's"}},
    .outputs = {{"output", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::all}},
    .shape_reads = {1},
    .shape = shape,
    .identity_when = [](const ShapeContext& c) { return c.out(0) == c.in(0); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1}, {2}}; i64{2, 2} -> {{1, 1}, {2, 2}}", "{1, 2}; i64{2, 1} -> {{1, 2}, {1, 2}}",
                 "3; i64{2} -> {3, 3}", "{1}; i64{0, 1} -> f32[0x1]{}"},
});

}  // namespace tessera
