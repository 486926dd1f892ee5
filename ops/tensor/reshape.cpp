#include <cstring>

#include "ops/elementwise.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// 0 copies the input's dim (unless allowzero), one -1 is what is left.
void shape(ShapeContext& c) {
  const Shape& x = c.in(0);
  Shape y = integers(c.value(1));
  const bool allow_zero = c.attr.flag("allowzero");
  std::int64_t known = 1;
  int open = -1;
  for (std::size_t i = 0; i < y.size(); ++i) {
    check(y[i] >= -1, "shape has a dim of ", y[i]);
    if (y[i] == 0 && !allow_zero) {
      check(i < x.size(), "shape copies dim ", i, " of an input of rank ", x.size());
      y[i] = x[i];
    }
    if (y[i] == -1) {
      check(open < 0, "shape has more than one -1");
      open = static_cast<int>(i);
    } else {
      check(known == 0 || y[i] <= (std::int64_t{1} << 62) / std::max<std::int64_t>(known, 1), "shape ", y,
            " is too large");
      known *= y[i];
    }
  }
  const std::int64_t size = count(x);
  if (open >= 0) {
    check(known != 0 ? size % known == 0 : size == 0, "cannot view ", x, " as ", y);
    y[static_cast<std::size_t>(open)] = known == 0 ? 0 : size / known;
  }
  check(count(y) == size, "cannot view ", x, " as ", y);
  c.out(0, std::move(y));
}

void kernel(const KernelContext& k) {
  if (k.in(0).bytes() > 0) std::memcpy(k.out(0).raw(), k.in(0).raw(), k.in(0).bytes());
}

std::vector<ValueId> gradient(GradContext& g) { return {reshaped(g, g.dout(0), *g.shape(g.in(0)))}; }

}  // namespace

extern constinit const OpDef op_reshape = define({
    .name = "Reshape",
    .since = 24,
    .doc =
        "The same elements under another shape. A dim of 0 copies the input's (unless allowzero), one dim may be -1.",
    .source = "ONNX Reshape-24",
    .inputs = {{"data", "T", "any shape"}, {"shape", "i64", "[rank of reshaped]"}},
    .outputs = {{"reshaped", "T", "the shape asked for"}},
    .attributes = {{"allowzero", AttributeType::integer, 0, "1: a dim of 0 means an empty tensor"}},
    .types = {{"T", dtypes::all}},
    .shape_reads = {1},
    .shape = shape,
    .view = true,
    .identity_when = [](const ShapeContext& c) { return c.out(0) == c.in(0); },
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{5, [](RewriteContext& c) { c.attribute_to_input("shape", 1); }}},
    .examples = {"{{1, 2}, {3, 4}}; i64{-1} -> {1, 2, 3, 4}", "{1, 2}; i64{0, 1} -> {{1}, {2}}"},
});

}  // namespace tessera
