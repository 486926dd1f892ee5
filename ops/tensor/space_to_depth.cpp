#include "ops/strided_copy.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape& x = c.in(0);
  const std::int64_t b = c.attr.integer("blocksize");
  check(x.rank() == 4, "input must be [N, C, H, W], got shape ", x);
  check(0 < b && b < (1 << 20) && x[2] % b == 0 && x[3] % b == 0, "blocksize ", b, " does not fit ", x);
  check(x[1] < std::int64_t{1} << 20, "input ", x, " has too many channels");
  c.out(0, {x[0], x[1] * b * b, x[2] / b, x[3] / b});
}

// The output is [N, b, b, C, H / b, W / b].
void kernel(const KernelContext& k) {
  const Shape& x = k.in(0).shape();
  const std::int64_t b = k.attr.integer("blocksize"), plane = x[2] * x[3];
  const Shape dims = {x[0], b, b, x[1], x[2] / b, x[3] / b};
  strided_copy(k.in(0).dtype(), dims, k.in(0).raw(), {x[1] * plane, x[3], 1, plane, b * x[3], b}, k.out(0).raw(),
               row_major_strides(dims));
}

std::vector<ValueId> gradient(GradContext& g) {
  return {g.node("DepthToSpace", {g.dout(0)}, {{"blocksize", g.attr().integer("blocksize")}})};
}

}  // namespace

extern constinit const OpDef op_space_to_depth = define({
    .name = "SpaceToDepth",
    .since = 13,
    .doc = "Blocks of pixels rearranged to channels: channel = (row, column, C).",
    .source = "ONNX SpaceToDepth-13",
    .inputs = {{"input", "T", "[N, C, H, W]"}},
    .outputs = {{"output", "T", "[N, C b^2, H / b, W / b]"}},
    .attributes = {{"blocksize", AttributeType::integer, required, "b"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{{0, 1}, {2, 3}}}}; blocksize=2 -> {{{{0}}, {{1}}, {{2}}, {{3}}}}",
                 "{{{{0, 2}, {4, 6}}, {{1, 3}, {5, 7}}}}; blocksize=2 -> {{{{0}}, {{1}}, {{2}}, {{3}}, {{4}}, {{5}}, "
                 "{{6}}, {{7}}}}"},
});

}  // namespace tessera
