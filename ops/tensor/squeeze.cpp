#include "ops/fill.h"
#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape& x = c.in(0);
  Shape y;
  if (!c.has(1)) {
    for (const auto d : x)
      if (d != 1) y.push_back(d);
    return c.out(0, std::move(y));
  }
  const Axes axes = normal_axes(integers(c.value(1)), x.rank());
  for (const auto a : axes) check(x[static_cast<std::size_t>(a)] == 1, "cannot squeeze axis ", a, " of ", x);
  for (int a = 0; a < x.rank(); ++a)
    if (std::find(axes.begin(), axes.end(), a) == axes.end()) y.push_back(x[static_cast<std::size_t>(a)]);
  c.out(0, std::move(y));
}

void kernel(const KernelContext& k) { copy_elements(k.in(0), k.out(0)); }

std::vector<ValueId> gradient(GradContext& g) { return {reshaped(g, g.dout(0), *g.shape(g.in(0)))}; }

}  // namespace

extern constinit const OpDef op_squeeze = define({
    .name = "Squeeze",
    .since = 24,
    .doc = "The input without the given axes, which have size 1; without all axes of size 1 when none are given.",
    .source = "ONNX Squeeze-24",
    .inputs = {{"data", "T", "any shape"}, {"axes", "i64", "[axes to drop], in [-rank, rank)", Presence::optional}},
    .outputs = {{"squeezed", "T", "shape of data without the axes"}},
    .types = {{"T", dtypes::all}},
    .shape_reads = {1},
    .shape = shape,
    .view = true,
    .identity_when = [](const ShapeContext& c) { return c.out(0) == c.in(0); },
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{13, [](RewriteContext& c) { c.attribute_to_input("axes", 1); }}},
    .examples = {"{{{1, 2}}}; i64{0} -> {{1, 2}}", "{{{1, 2}}}; i64{-2, 0} -> {1, 2}", "{{{1}, {2}}} -> {1, 2}"},
});

}  // namespace tessera
