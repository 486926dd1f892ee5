#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  map<Numeric>(k, [](auto x) { return static_cast<decltype(x)>(x > 0 ? 1 : x < 0 ? -1 : x); });
}

}  // namespace

extern constinit const OpDef op_sign = define({
    .name = "Sign",
    .since = 13,
    .introduced = 9,
    .doc = "The sign of each element: -1, 0 or 1. NaN stays NaN.",
    .source = "ONNX Sign-13",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::numeric}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{-2.5, 0, 7} -> {-1, 0, 1}", "i64{-5, 0, 9} -> i64{-1, 0, 1}"},
});

}  // namespace tessera
