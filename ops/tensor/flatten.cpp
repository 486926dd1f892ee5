#include "ops/fill.h"
#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape& x = c.in(0);
  const std::int64_t axis = c.attr.integer("axis"), rank = x.rank();
  check(-rank <= axis && axis <= rank, "axis ", axis, " is outside [", -rank, ", ", rank, "]");
  const auto split = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
  const std::span<const std::int64_t> dims = x;
  c.out(0, {count(dims.first(split)), count(dims.subspan(split))});
}

void kernel(const KernelContext& k) { copy_elements(k.in(0), k.out(0)); }

std::vector<ValueId> gradient(GradContext& g) { return {reshaped(g, g.dout(0), *g.shape(g.in(0)))}; }

}  // namespace

extern constinit const OpDef op_flatten = define({
    .name = "Flatten",
    .since = 24,
    .doc = "A matrix: the axes before `axis` become rows, the others columns.",
    .source = "ONNX Flatten-24",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "[product of dims before axis, product of the others]"}},
    .attributes = {{"axis", AttributeType::integer, 1, "in [-rank, rank]"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .view = true,
    .identity_when = [](const ShapeContext& c) { return c.out(0) == c.in(0); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{1, 2}, {3, 4}}} -> {{1, 2, 3, 4}}", "{{{1, 2}, {3, 4}}}; axis=-1 -> {{1, 2}, {3, 4}}",
                 "{1, 2}; axis=0 -> {{1, 2}}", "5; axis=0 -> {{5}}"},
});

}  // namespace tessera
