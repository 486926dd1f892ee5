#include "ops/convert.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) { c.out(0, c.in(0)); }

void kernel(const KernelContext& k) { convert_elements(k.in(0), k.out(0)); }

std::vector<ValueId> gradient(GradContext& g) {
  if (!dtypes::floats.has(g.dtype(g.in(0))) || !dtypes::floats.has(g.dtype(g.out(0)))) return {};
  return {g.cast(g.dout(0), g.dtype(g.in(0)))};
}

}  // namespace

extern constinit const OpDef op_cast_like = define({
    .name = "CastLike",
    .since = 24,
    .introduced = 15,
    .doc = "The elements of the first input as the type of the second, converted as Cast does.",
    .source = "ONNX CastLike-24",
    .inputs = {{"input", "T1", "any shape"}, {"target_type", "T2", "any shape; only its type matters"}},
    .outputs = {{"output", "T2", "shape of input"}},
    .attributes = {{"saturate", AttributeType::integer, 1, "concerns 8-bit floats only"},
                   {"round_mode", AttributeType::text, "up", "concerns 8-bit exponents (f8e8m0) only"}},
    .types = {{"T1", dtypes::all}, {"T2", dtypes::all}},
    .shape = shape,
    .identity_when = [](const ShapeContext& c) { return c.dtype(0) == c.dtype(1); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1.5, -2.5}; i64{} -> i64{1, -2}", "i32{3, 4}; {0.5} -> {3, 4}"},
});

}  // namespace tessera
