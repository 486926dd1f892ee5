#include <cstring>

#include "runtime/op/context.h"

namespace tessera {
namespace {

// The value, whichever attribute holds it.
Tensor value(const AttributeReader& attr) {
  check(!attr.has("value_string") && !attr.has("value_strings"), Code::unsupported,
        "Constant: strings are not supported");
  check(attr.all().size() == 1, "Constant needs exactly one attribute, got ", attr.all().size());
  if (attr.has("value_float")) return Tensor::scalar<float>(attr.real("value_float"));
  if (attr.has("value_int")) return Tensor::scalar<std::int64_t>(attr.integer("value_int"));
  if (attr.has("value_floats")) return Tensor::vector<float>(attr.reals("value_floats"));
  if (attr.has("value_ints")) return Tensor::vector<std::int64_t>(attr.integers("value_ints"));
  return attr.tensor("value");
}

void dtype(const AttributeReader& attr, std::span<const DType>, std::span<DType> out) { out[0] = value(attr).dtype(); }

void shape(ShapeContext& c) { c.out(0, value(c.attr).shape()); }

void kernel(const KernelContext& k) {
  const Tensor v = value(k.attr);
  if (v.bytes() > 0) std::memcpy(k.out(0).raw(), v.raw(), v.bytes());
}

}  // namespace

extern constinit const OpDef op_constant = define({
    .name = "Constant",
    .since = 24,
    .doc = "A tensor written in the model. Strings and sparse tensors are not supported.",
    .source = "ONNX Constant-24",
    .outputs = {{"output", "T", "shape of the value"}},
    .attributes = {{"value", AttributeType::tensor, {}, "the tensor"},
                   {"value_float", AttributeType::real, {}, "an f32 scalar"},
                   {"value_floats", AttributeType::reals, {}, "an f32 vector"},
                   {"value_int", AttributeType::integer, {}, "an i64 scalar"},
                   {"value_ints", AttributeType::integers, {}, "an i64 vector"},
                   {"value_string", AttributeType::text, {}, "not supported"},
                   {"value_strings", AttributeType::texts, {}, "not supported"}},
    .types = {{"T", dtypes::all}},
    .dtype = dtype,
    .shape = shape,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"value=f32{{1, 2}} -> {{1, 2}}", "value_int=3 -> i64 3", "value_ints=[1, 2] -> i64{1, 2}",
                 "value_float=0.5 -> 0.5", "value_floats=[0.5, 1.5] -> {0.5, 1.5}"},
});

}  // namespace tessera
