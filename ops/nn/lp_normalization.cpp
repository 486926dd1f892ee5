#include <cmath>

#include "ops/softmax.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const std::int64_t p = c.attr.integer("p");
  check(p == 1 || p == 2, "p must be 1 or 2, got ", p);
  slices_along_axis(c);
}

// The norm is kept in f64: there the squares of all f32 neither overflow nor vanish.
template <class T>
void normalize(const T* x, T* y, std::int64_t n, bool squares) {
  const auto element = [x](std::int64_t i) { return static_cast<double>(static_cast<Compute<T>>(x[i])); };
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += squares ? element(i) * element(i) : std::abs(element(i));
  const double norm = sum == 0 ? 1 : squares ? std::sqrt(sum) : sum;
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(static_cast<Compute<T>>(element(i) / norm));
}

void kernel(const KernelContext& k) {
  const bool squares = k.attr.integer("p") == 2;
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    for_each_slice<T>(k.in(0), k.out(0), k.axis(),
                      [squares](const T* x, T* y, std::int64_t n) { normalize(x, y, n, squares); });
  });
}

// With s = x / norm (p = 2) or the sign of x (p = 1): dx = (dy - s sum(dy y)) / norm, the sum along axis; 0 where the
// norm is 0.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId x = g.in(0), dy = g.dout(0), axis = g.ints({g.attr().integer("axis")}), zero = g.scalar_like(x, 0);
  const bool squares = g.attr().integer("p") == 2;
  const ValueId norm = g.node(squares ? "ReduceL2" : "ReduceL1", {x, axis});
  const ValueId along = g.node("ReduceSum", {g.node("Mul", {dy, g.out(0)}), axis});
  const ValueId side = squares ? g.out(0) : g.node("Sign", {x});
  const ValueId dx = g.node("Div", {g.node("Sub", {dy, g.node("Mul", {side, along})}), norm});
  return {g.node("Where", {g.node("Equal", {norm, zero}), zero, dx})};
}

}  // namespace

extern constinit const OpDef op_lp_normalization = define({
    .name = "LpNormalization",
    .since = 22,
    .doc = "output = input / norm, the norm of each slice along axis: its length (p = 2) or the sum of its sizes "
           "(p = 1); 0 where the norm is 0.",
    .source = "ONNX LpNormalization-22",
    .inputs = {{"input", "T", "rank >= 1"}},
    .outputs = {{"output", "T", "shape of input"}},
    .attributes = {{"axis", AttributeType::integer, -1, "the axis of the slices"},
                   {"p", AttributeType::integer, 2, "1 or 2"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .in_place = {{0, 0}},
    .flops = [](const ShapeContext& c) { return 3.0 * static_cast<double>(count(c.in(0))); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{3, -4}, {6, 8}} -> {{0.6, -0.8}, {0.6, 0.8}}",
                 "{{3, 4}, {4, -3}}; axis=0 -> {{0.6, 0.8}, {0.8, -0.6}}",
                 "{{3, -5}, {6, 2}}; p=1; axis=1 -> {{0.375, -0.625}, {0.75, 0.25}}",
                 "{60000, 60000}; p=1 -> {0.5, 0.5}", "{1, inf, nan} -> {nan, nan, nan}"},
});

}  // namespace tessera
