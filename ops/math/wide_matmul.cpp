#include "ops/matmul.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void dtype(const AttributeReader&, std::span<const DType> in, std::span<DType> out) {
  out[0] = in[0] == DType::f64 ? DType::f64 : DType::f32;
  check(in.size() < 3 || in[2] == DType::undefined || in[2] == out[0], "C of ", in[2], " for a product in ", out[0]);
}

void shape(ShapeContext& c) {
  const auto [a, b, y] = matmul_shapes(c.in(0), c.in(1));
  if (c.has(2)) check(c.in(1).rank() > 1 && c.in(2) == Shape{b.back()}, "C ", c.in(2), " is not a row of ", y);
  c.out(0, y);
}

void kernel(const KernelContext& k) {
  Product p = matmul_product(k.in(0).shape(), k.in(1).shape());
  if (k.has(2)) {
    p.addend = k.in(2).raw();
    p.addend_columns = 1;
  }
  const DType type = k.in(0).dtype();
  if (type == k.out(0).dtype()) return product(type, p, k.in(0).raw(), k.in(1).raw(), k.out(0).raw());
  wide_product(type, p, k.in(0).raw(), k.in(1).raw(), k.out(0).write<float>().data());
}

// As MatMul's, with dY rounded as the operands are; dC = dY, summed by the driver over the rows.
std::vector<ValueId> gradient(GradContext& g) {
  const ValueId dy = g.dout(0);
  auto d = matmul_gradient(g, g.cast(dy, g.dtype(g.in(0))));
  if (g.inputs() > 2) d.push_back(g.has(2) && g.needs(2) ? dy : ValueId::none);
  return d;
}

}  // namespace

extern constinit const OpDef op_wide_matmul = define({
    .name = "WideMatMul",
    .domain = "tessera",
    .doc = "Y = A B + C as MatMul, with Y in the type of the sums: sixteen-bit floats give f32, not rounded. What "
           "`precision: bf16` makes of a linear layer.",
    .source = "ONNX MatMul-13; numpy.matmul",
    .inputs = {{"A", "T", "[.. m k] or [k]"}, {"B", "T", "[.. k n] or [k]"}, {"C", "U", "[n]", Presence::optional}},
    .outputs = {{"Y", "U", "[.. m n]"}},
    .types = {{"T", dtypes::floats}, {"U", set_of(Types<float, double>{})}},
    .dtype = dtype,
    .shape = shape,
    .flops = [](const ShapeContext& c) { return matmul_product(c.in(0), c.in(1)).flops(); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}} -> {{19, 22}, {43, 50}}",
                 "bf16{{{1, 2}}, {{3, 4}}}; bf16{{64, 1}, {0.5, 0}} -> {{{65, 1}}, {{194, 3}}}",
                 "f16{1, 2048}; f16{1, 1} -> 2049", "f32[2x0]{}; f32[0x2]{} -> {{0, 0}, {0, 0}}"},
});

}  // namespace tessera
