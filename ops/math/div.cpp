#include "ops/broadcast_axis.h"
#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  with_type(Numeric{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    if (k.out(0).size() > 0) check_divisors<T>(k.in(1));
    map2_tensors<T, T, T>(k.in(0), k.in(1), k.out(0), [](auto a, auto b) { return wrapping_div(a, b); });
  });
}

std::vector<ValueId> gradient(GradContext& g) {
  // dA = dC / B, dB = -dC C / B
  const ValueId da = g.node("Div", {g.dout(0), g.in(1)});
  return {da, g.needs(1) ? g.node("Neg", {g.node("Mul", {da, g.out(0)})}) : ValueId::none};
}

}  // namespace

extern constinit const OpDef op_div = define({
    .name = "Div",
    .since = 14,
    .doc = "C = A / B, elementwise with broadcasting. Integers are divided towards zero; division by 0 is an error for "
           "them.",
    .source = "ONNX Div-14",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "broadcasts with A"}},
    .outputs = {{"C", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::numeric}},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{7, broadcast_from_axis}},
    .examples = {"{1, 3}; {2, -4} -> {0.5, -0.75}", "{{1}, {2}}; {10, 20} -> {{0.1, 0.05}, {0.2, 0.1}}",
                 "i32{7, -7, -2147483648}; i32{2, 2, -1} -> i32{3, -3, -2147483648}"},
});

}  // namespace tessera
