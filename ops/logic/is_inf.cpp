#include <limits>

#include "ops/elementwise.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  const bool negative = k.attr.flag("detect_negative"), positive = k.attr.flag("detect_positive");
  map<Floats, bool>(k, [negative, positive](auto x) {
    constexpr auto infinity = std::numeric_limits<decltype(x)>::infinity();
    return (x == infinity && positive) || (x == -infinity && negative);
  });
}

}  // namespace

extern constinit const OpDef op_is_inf = define({
    .name = "IsInf",
    .since = 20,
    .introduced = 10,
    .doc = "Y = true where X is infinite; each sign may be left out.",
    .source = "ONNX IsInf-20",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "bool", "shape of X"}},
    .attributes = {{"detect_negative", AttributeType::integer, 1, "0: -inf gives false"},
                   {"detect_positive", AttributeType::integer, 1, "0: +inf gives false"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{1, nan, inf, -inf} -> bool{false, false, true, true}",
                 "{inf, -inf}; detect_negative=0 -> bool{true, false}",
                 "{inf, -inf}; detect_positive=0 -> bool{false, true}"},
});

}  // namespace tessera
