#include "ops/fill.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void dtype(const AttributeReader& attr, std::span<const DType>, std::span<DType> out) {
  out[0] = attr.has("value") ? attr.tensor("value").dtype() : DType::f32;
}

void shape(ShapeContext& c) {
  check(c.rank(0) == 1, "input must be a vector of dims, got shape ", c.in(0));
  check(!c.attr.has("value") || c.attr.tensor("value").size() == 1, "attribute 'value' must have one element");
  c.out(0, integers(c.value(0)));
}

void kernel(const KernelContext& k) {
  Tensor& y = k.out(0);
  const std::uint64_t zero = 0;
  fill(y.dtype(), y.raw(), y.size(), k.attr.has("value") ? k.attr.tensor("value").raw() : &zero);
}

}  // namespace

extern constinit const OpDef op_constant_of_shape = define({
    .name = "ConstantOfShape",
    .since = 24,
    .introduced = 9,
    .doc = "A tensor of the given shape with one value everywhere: zero (f32) unless said otherwise.",
    .source = "ONNX ConstantOfShape-24",
    .inputs = {{"input", "i64", "[rank of output]"}},
    .outputs = {{"output", "T", "the shape asked for"}},
    .attributes = {{"value", AttributeType::tensor, {}, "one element; its type is that of the output"}},
    .types = {{"T", dtypes::all}},
    .dtype = dtype,
    .shape_reads = {0},
    .shape = shape,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"i64{2, 1} -> {{0}, {0}}", "i64{2}; value=i64{7} -> i64{7, 7}", "i64[0]{}; value=f32{3} -> 3",
                 "i64{0, 2}; value=bool{true} -> bool[0x2]{}"},
});

}  // namespace tessera
