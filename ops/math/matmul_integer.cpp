#include "ops/linalg_bytes.h"
#include "ops/matmul.h"
#include "runtime/op/context.h"
#include "runtime/tensor/convert.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const auto [a, b, y] = matmul_shapes(c.in(0), c.in(1));
  const auto check_zeros = [&](int i, std::int64_t each, const char* of) {
    if (!c.has(i)) return;
    check(c.in(i).rank() < 2, Code::unsupported, "zero points ", c.in(i), ", only one or one per ", of);
    check(count(c.in(i)) == 1 || count(c.in(i)) == each, "zero points ", c.in(i), " for ", each, " ", of, "s");
  };
  check_zeros(2, a[a.size() - 2], "row");
  check_zeros(3, b.back(), "column");
  c.out(0, y);
}

void kernel(const KernelContext& k) {
  const auto zeros = [&](int i) { return k.has(i) ? converted(k.in(i), DType::f32) : Tensor::zeros(DType::f32, {0}); };
  const Tensor zero_a = zeros(2), zero_b = zeros(3);
  const auto matrix = [&](int i, const Tensor& zero) {
    return ByteMatrix{k.in(i).raw(), k.in(i).dtype() == DType::i8, zero.read<float>()};
  };
  byte_product(matmul_product(k.in(0).shape(), k.in(1).shape()), matrix(0, zero_a), matrix(1, zero_b),
               k.out(0).write<std::int32_t>().data());
}

}  // namespace

extern constinit const OpDef op_matmul_integer = define({
    .name = "MatMulInteger",
    .since = 10,
    .introduced = 10,
    .doc = "Y = (A - a_zero_point) (B - b_zero_point) of bytes, over the last two axes as numpy.matmul, summed in i32, "
           "which wraps.",
    .source = "ONNX MatMulInteger-10",
    .inputs = {{"A", "T1", "[.. m k] or [k]"},
               {"B", "T2", "[.. k n] or [k]"},
               {"a_zero_point", "T1", "scalar, [1] or [m]; default 0", Presence::optional},
               {"b_zero_point", "T2", "scalar, [1] or [n]; default 0", Presence::optional}},
    .outputs = {{"Y", "i32", "[.. m n]"}},
    .types = {{"T1", byte_types}, {"T2", byte_types}},
    .shape = shape,
    .flops = [](const ShapeContext& c) { return matmul_product(c.in(0), c.in(1)).flops(); },
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"u8{{11, 7, 3}, {10, 6, 2}}; u8{{1, 4}, {2, 5}, {3, 6}}; u8{12}; u8{0} -> i32{{-38, -83}, {-44, -98}}",
                 "u8{{1, 2}, {3, 255}}; i8{{-1, 0}, {127, -128}} -> i32{{253, -256}, {32382, -32640}}",
                 "i8{{1, 2}, {3, 4}}; i8{{5, 6}, {7, 8}}; i8{1, 3}; i8{5, 7} -> i32{{2, 1}, {2, 1}}",
                 "u8{{{1, 2}}, {{3, 4}}}; i8{10, 1}; u8 1 -> i32{{1}, {23}}",
                 "u8{1, 2}; u8{{{1, 0}, {0, 1}}, {{0, 1}, {1, 0}}}; _; u8{1, 0} -> i32{{-2, 2}, {-1, 1}}",
                 "u8[2x0]{}; u8[0x2]{} -> i32{{0, 0}, {0, 0}}"},
});

}  // namespace tessera
