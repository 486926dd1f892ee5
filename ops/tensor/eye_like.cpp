#include "ops/fill.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void dtype(const AttributeReader& attr, std::span<const DType> in, std::span<DType> out) {
  out[0] = attr.has("dtype") ? attr.dtype("dtype") : in[0];
  check(size_of(out[0]) > 0, Code::unsupported, "EyeLike of type ", out[0], " is not supported");
}

void shape(ShapeContext& c) {
  check(c.rank(0) == 2, "input must be a matrix, got shape ", c.in(0));
  c.out(0, c.in(0));
}

void kernel(const KernelContext& k) {
  Tensor& y = k.out(0);
  const std::uint64_t zero = 0;
  fill(y.dtype(), y.raw(), y.size(), &zero);
  const Tensor one = Tensor::scalar(y.dtype(), 1);
  const std::int64_t rows = y.dim(0), columns = y.dim(1), shift = std::clamp(k.attr.integer("k"), -rows, columns);
  auto* to = static_cast<std::byte*>(y.raw());
  for (std::int64_t r = std::max<std::int64_t>(-shift, 0); r < rows && r + shift < columns; ++r)
    std::memcpy(to + (r * columns + r + shift) * static_cast<std::int64_t>(one.bytes()), one.raw(), one.bytes());
}

}  // namespace

extern constinit const OpDef op_eye_like = define({
    .name = "EyeLike",
    .since = 22,
    .introduced = 9,
    .doc = "A matrix of the input's shape with ones on the k-th diagonal and zeros elsewhere.",
    .source = "ONNX EyeLike-22",
    .inputs = {{"input", "T1", "[rows, columns]; only shape and type matter"}},
    .outputs = {{"output", "T2", "shape of input"}},
    .attributes = {{"dtype", AttributeType::integer, {}, "the element type; default: the input's"},
                   {"k", AttributeType::integer, 0, "diagonals right of the main one"}},
    .types = {{"T1", dtypes::all}, {"T2", dtypes::all}},
    .dtype = dtype,
    .shape = shape,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{{7, 7}, {7, 7}} -> {{1, 0}, {0, 1}}", "i32{{7, 7, 7}}; k=1; dtype=1 -> {{0, 1, 0}}",
                 "{{7}, {7}}; k=-1 -> {{0}, {1}}"},
});

}  // namespace tessera
