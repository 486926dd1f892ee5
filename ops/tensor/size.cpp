#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) { c.out(0, {}); }

void kernel(const KernelContext& k) { k.out(0).write<std::int64_t>()[0] = k.in(0).size(); }

}  // namespace

extern constinit const OpDef op_size = define({
    .name = "Size",
    .since = 24,
    .doc = "The number of elements of the input.",
    .source = "ONNX Size-24",
    .inputs = {{"data", "T", "any shape"}},
    .outputs = {{"size", "i64", "scalar"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .shape_only = true,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{{1, 2, 3}} -> i64 3", "5 -> i64 1", "f32[0x4]{} -> i64 0"},
});

}  // namespace tessera
