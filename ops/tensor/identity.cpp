#include "ops/fill.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) { c.out(0, c.in(0)); }

void kernel(const KernelContext& k) { copy_elements(k.in(0), k.out(0)); }

std::vector<ValueId> gradient(GradContext& g) { return {g.dout(0)}; }

}  // namespace

extern constinit const OpDef op_identity = define({
    .name = "Identity",
    .since = 24,
    .doc = "The input under another name.",
    .source = "ONNX Identity-24",
    .inputs = {{"input", "V", "any shape"}},
    .outputs = {{"output", "V", "shape of input"}},
    .types = {{"V", dtypes::all}},
    .shape = shape,
    .view = true,
    .identity_when = [](const ShapeContext&) { return true; },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1, 2} -> {1, 2}", "bool true -> bool true"},
});

}  // namespace tessera
