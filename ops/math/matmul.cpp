#include "ops/matmul.h"

#include "runtime/op/context.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  product(k.out(0).dtype(), matmul_product(k.in(0).shape(), k.in(1).shape()), k.in(0).raw(), k.in(1).raw(),
          k.out(0).raw());
}

double flops(const ShapeContext& c) { return matmul_product(c.in(0), c.in(1)).flops(); }

}  // namespace

extern constinit const OpDef op_matmul = define({
    .name = "MatMul",
    .since = 13,
    .doc =
        "Y = A B over the last two axes, as numpy.matmul: batch axes broadcast, a vector on the left is a row, on the "
        "right a column, and its axis is dropped from Y. Integers wrap; f16 and bf16 are summed in f32.",
    .source = "ONNX MatMul-13; numpy.matmul",
    .inputs = {{"A", "T", "[.. m k] or [k]"}, {"B", "T", "[.. k n] or [k]"}},
    .outputs = {{"Y", "T", "[.. m n]"}},
    .types = {{"T", set_of(ProductTypes{})}},
    .shape = [](ShapeContext& c) { c.out(0, matmul_shapes(c.in(0), c.in(1)).out); },
    .flops = flops,
    .kernel = kernel,
    .gradient = [](GradContext& g) { return matmul_gradient(g, g.dout(0)); },
    .examples = {"{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}} -> {{19, 22}, {43, 50}}", "{1, 2}; {3, 4} -> 11",
                 "{1, 2}; {{{1, 0}, {0, 1}}, {{0, 1}, {1, 0}}} -> {{1, 2}, {2, 1}}",
                 "{{{1, 2}}, {{3, 4}}}; {10, 1} -> {{12}, {34}}",
                 "{{{{1}, {2}}}, {{{3}, {4}}}}; {{{1, 2}}, {{3, 4}}} -> {{{{1, 2}, {2, 4}}, {{3, 4}, {6, 8}}}, "
                 "{{{3, 6}, {4, 8}}, {{9, 12}, {12, 16}}}}",
                 "f32[2x0]{}; f32[0x2]{} -> {{0, 0}, {0, 0}}"},
});

}  // namespace tessera
