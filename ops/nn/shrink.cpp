#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  const double lambd = k.attr.real("lambd"), bias = k.attr.real("bias");
  with_type(Numeric{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using C = std::conditional_t<std::is_integral_v<T>, double, Compute<T>>;
    const auto threshold = static_cast<C>(lambd), shift = static_cast<C>(bias);
    map<Types<T>>(k, [=](auto element) {
      const auto x = static_cast<C>(element);
      const C kept = x != x ? x : C{0};
      return to_element<decltype(element)>(x < -threshold ? x + shift : x > threshold ? x - shift : kept);
    });
  });
}

// dx = dy where x is kept, else 0.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), lambd = g.scalar_like(x, g.attr().real("lambd"));
  const ValueId kept = g.node("Or", {g.node("Less", {x, g.node("Neg", {lambd})}), g.node("Greater", {x, lambd})});
  return {g.node("Where", {kept, g.dout(0), g.scalar_like(x, 0)})};
}

}  // namespace

extern constinit const OpDef op_shrink = define({
    .name = "Shrink",
    .since = 9,
    .introduced = 9,
    .doc = "Y = X + bias where X < -lambd, X - bias where X > lambd, else 0, elementwise; NaN stays NaN. Integers are "
           "computed in f64 and truncated.",
    .source = "ONNX Shrink-9",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .attributes = {{"lambd", AttributeType::real, 0.5f, "what is no larger in size becomes 0"},
                   {"bias", AttributeType::real, 0.0f, "how much the others move towards 0"}},
    .types = {{"T", dtypes::numeric}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{-2, -0.25, 0.375, 3} -> {-2, 0, 0, 3}", "{-2, -1, 1.25, 3}; lambd=1.5; bias=1 -> {-1, 0, 0, 2}",
                 "{inf, -inf, nan} -> {inf, -inf, nan}",
                 "i32{-3, -1, 0, 1, 2}; lambd=1; bias=1.5 -> i32{-1, 0, 0, 0, 0}",
                 "u8{0, 1, 2, 255}; lambd=1; bias=-4 -> u8{0, 0, 6, 255}"},
});

}  // namespace tessera
