#include "ops/fill.h"
#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape added = integers(c.value(1));
  Shape y(c.in(0).size() + added.size(), -1);
  for (const auto a : normal_axes(added, y.rank())) y[static_cast<std::size_t>(a)] = 1;
  auto next = c.in(0).begin();
  for (auto& d : y)
    if (d < 0) d = *next++;
  c.out(0, std::move(y));
}

void kernel(const KernelContext& k) { copy_elements(k.in(0), k.out(0)); }

std::vector<ValueId> gradient(GradContext& g) { return {reshaped(g, g.dout(0), *g.shape(g.in(0)))}; }

}  // namespace

extern constinit const OpDef op_unsqueeze = define({
    .name = "Unsqueeze",
    .since = 24,
    .doc = "The input with axes of size 1 inserted, so that they stand at the given places of the output.",
    .source = "ONNX Unsqueeze-24",
    .inputs = {{"data", "T", "any shape"}, {"axes", "i64", "[axes to add], in [-rank, rank) of the output"}},
    .outputs = {{"expanded", "T", "shape of data with the axes"}},
    .types = {{"T", dtypes::all}},
    .shape_reads = {1},
    .shape = shape,
    .view = true,
    .identity_when = [](const ShapeContext& c) { return c.out(0) == c.in(0); },
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{13, [](RewriteContext& c) { c.attribute_to_input("axes", 1); }}},
    .examples = {"{1, 2}; i64{0} -> {{1, 2}}", "{1, 2}; i64{-1, 0} -> {{{1}, {2}}}", "5; i64{0} -> {5}"},
});

}  // namespace tessera
