#include "ops/strided_copy.h"
#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape& x = c.in(0);
  const std::int64_t b = c.attr.integer("blocksize");
  check(x.rank() == 4, "input must be [N, C, H, W], got shape ", x);
  check(0 < b && b < (1 << 20) && x[1] % (b * b) == 0, "blocksize ", b, " does not fit ", x[1], " channels");
  check(std::max(x[2], x[3]) < std::int64_t{1} << 40, "input ", x, " is too large");
  c.out(0, {x[0], x[1] / (b * b), x[2] * b, x[3] * b});
}

// The output is [N, C / b b, H, b, W, b]; the two block axes are the outer (DCR) or inner (CRD) part of the channels.
void kernel(const KernelContext& k) {
  const Shape& x = k.in(0).shape();
  const std::int64_t b = k.attr.integer("blocksize"), c = x[1] / (b * b), plane = x[2] * x[3];
  const bool outer = k.attr.text("mode") == "DCR";
  const std::int64_t channel = outer ? plane : b * b * plane, block = outer ? c * plane : plane;
  const Shape dims = {x[0], c, x[2], b, x[3], b};
  strided_copy(k.in(0).dtype(), dims, k.in(0).raw(), {x[1] * plane, channel, x[3], b * block, 1, block}, k.out(0).raw(),
               row_major_strides(dims));
}

// Back again. In CRD order the block axes are moved in front of the channels afterwards.
std::vector<ValueId> gradient(GradContext& g) {
  const std::int64_t b = g.attr().integer("blocksize");
  const Shape x = *g.shape(g.in(0));
  const ValueId dx = g.node("SpaceToDepth", {g.dout(0)}, {{"blocksize", b}});
  if (g.attr().text("mode") == "DCR") return {dx};
  const ValueId parts = reshaped(g, dx, Shape{x[0], b * b, x[1] / (b * b), x[2] * x[3]});
  const ValueId turned = g.node("Transpose", {parts}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}});
  return {reshaped(g, turned, x)};
}

}  // namespace

extern constinit const OpDef op_depth_to_space = define({
    .name = "DepthToSpace",
    .since = 13,
    .doc = "Channels rearranged to blocks of pixels.",
    .source = "ONNX DepthToSpace-13; Shi et al., CVPR 2016 (pixel shuffle: CRD)",
    .inputs = {{"input", "T", "[N, C, H, W]"}},
    .outputs = {{"output", "T", "[N, C / b^2, H b, W b]"}},
    .attributes = {{"blocksize", AttributeType::integer, required, "b"},
                   {"mode", AttributeType::text, "DCR", "DCR: channel = (row, column, C); CRD: (C, row, column)",
                    "DCR|CRD"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{{0}}, {{1}}, {{2}}, {{3}}}}; blocksize=2 -> {{{{0, 1}, {2, 3}}}}",
                 "{{{{0}}, {{1}}, {{2}}, {{3}}, {{4}}, {{5}}, {{6}}, {{7}}}}; blocksize=2 -> {{{{0, 2}, {4, 6}}, {{1, "
                 "3}, {5, 7}}}}",
                 "{{{{0}}, {{1}}, {{2}}, {{3}}, {{4}}, {{5}}, {{6}}, {{7}}}}; blocksize=2; mode=\"CRD\" -> {{{{0, 1}, "
                 "{2, 3}}, {{4, "
                 "5}, {6, 7}}}}"},
});

}  // namespace tessera
