// Gradients of products and convolutions against central differences, beyond the operators' own examples.
#include <gmock/gmock.h>

#include "runtime/op/example.h"
#include "tests/support/central_difference.h"

namespace tessera {
namespace {

class Gradient : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(Gradient, agrees_with_differences) {
  const auto& [name, text] = GetParam();
  const OpDef& op = builtin_registry().at(name);
  const Example e = parse_example(op, text);
  EXPECT_THAT(gradient_errors(op, e.attributes, e.in, std::vector<bool>(e.out.size(), true)), testing::IsEmpty())
      << text;
}

INSTANTIATE_TEST_SUITE_P(
    Products, Gradient,
    testing::Values(std::pair{"MatMul", "{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}} -> _"},
                    std::pair{"MatMul", "{1, 2}; {3, 4} -> _"},
                    std::pair{"MatMul", "{1, 2}; {{{1, 5}, {0, 1}}, {{2, 1}, {1, 3}}} -> _"},
                    std::pair{"MatMul", "{1, 2}; {{1, 5, 2}, {0, 1, 3}} -> _"},
                    std::pair{"MatMul", "{{{1, 2}}, {{3, 4}}}; {10, 1} -> _"},
                    std::pair{"MatMul", "{{{1, 2}}, {{3, 4}}}; {{10, 1, 2}, {3, 1, 5}} -> _"},
                    std::pair{"MatMul", "{{{{1}, {2}}}, {{{3}, {4}}}}; {{{1, 2}}, {{3, 4}}} -> _"},
                    std::pair{"MatMul", "{{1, 2}, {3, 4}}; {{{1, 2}, {3, 4}}, {{5, 6}, {7, 9}}} -> _"},
                    std::pair{"Gemm", "{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}}; {10, 20}; alpha=2.0; beta=0.5 -> _"},
                    std::pair{"Gemm", "{{1, 2, 3}}; {{1, 2}}; {{1}, {2}, {3}}; transA=1; alpha=0.5 -> _"},
                    std::pair{"Gemm", "{{1, 2, 3}}; {{1, 0, 1}, {0, 1, 0}}; 1; transB=1; alpha=0.5 -> _"},
                    std::pair{"Gemm",
                              "{{1, 5}, {2, 6}}; {{3, 4}, {1, 2}, {8, 9}}; transA=1; transB=1; alpha=0.5 -> _"}));

INSTANTIATE_TEST_SUITE_P(
    Einsums, Gradient,
    testing::Values(std::pair{"Einsum", "{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}}; equation=\"ij,jk->ik\" -> _"},
                    std::pair{"Einsum", "{{1, 2}, {3, 4}}; equation=\"ii->i\" -> _"},
                    std::pair{"Einsum", "{{1, 2}, {3, 4}}; equation=\"ii\" -> _"},
                    std::pair{"Einsum", "{{1, 2}, {3, 4}}; equation=\"ij->j\" -> _"},
                    std::pair{"Einsum", "{{1, 2, 3}, {4, 5, 6}}; equation=\"ij->ji\" -> _"},
                    std::pair{"Einsum", "{{{1, 2}}, {{3, 4}}}; {{1, 3}, {5, 2}}; equation=\"...ij,...jk->...ik\" -> _"},
                    std::pair{"Einsum", "{{{1, 2}}, {{3, 4}}}; equation=\"i...j->...\" -> _"},
                    std::pair{"Einsum", "{{1, 2}, {3, 4}}; {1, 10}; {3, 2}; equation=\"ij,i,j->\" -> _"},
                    std::pair{"Einsum", "{{1}, {3}}; {{1, 10}}; equation=\"ij,ij->ij\" -> _"},
                    std::pair{"Einsum", "{{1}, {3}}; {{1, 10}}; equation=\"ij,ij->i\" -> _"},
                    std::pair{"Einsum", "{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}}; equation=\"ii,jk->j\" -> _"},
                    std::pair{"Einsum",
                              "{{{{1, 2}}, {{3, 4}}}}; {{{{1, 1}}, {{0, 2}}}}; equation=\"bihd,bjhd->bhij\" -> _"}));

INSTANTIATE_TEST_SUITE_P(
    Convolutions, Gradient,
    testing::Values(
        std::pair{"Conv", "{{{1, 2, 3, 4, 7}}}; {{{1, 10}}}; {0.5}; strides=[2]; pads=[1, 1] -> _"},
        std::pair{"Conv", "{{{1, 2, 3, 4}}}; {{{1, 10}}}; dilations=[2] -> _"},
        std::pair{"Conv", "{{{1, 2, 3}}}; {{{1, 10}}}; auto_pad=\"SAME_LOWER\" -> _"},
        std::pair{"Conv",
                  "{{{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}}; {{{{1, 0}, {0, 1}}}, {{{0, 1}, {1, 0}}}}; group=2 -> _"},
        std::pair{"ConvTranspose", "{{{1, 2, 3}}}; {{{1, 10}}}; {0.5}; strides=[2]; output_padding=[1] -> _"},
        std::pair{"ConvTranspose", "{{{1, 2, 3}}}; {{{1, 10}}}; dilations=[2]; pads=[1, 0]; output_padding=[1] -> _"},
        std::pair{"ConvTranspose", "{{{1, 2, 3}}}; {{{1, 10, 100}}}; strides=[2]; output_shape=[6] -> _"},
        std::pair{"ConvTranspose", "{{{{1}}, {{2}}}}; {{{{1, 2}}}, {{{3, 4}}}}; group=2 -> _"},
        std::pair{"tessera::ConvWeightGrad",
                  "{{{1, 2}, {3, 4}}}; {{{1, 10}, {100, 1000}}}; kernel_shape=[1]; group=2 -> _"},
        std::pair{"tessera::ConvWeightGrad", "{{{1, 2, 3, 4}}}; {{{1, 10}}}; kernel_shape=[2]; strides=[2] -> _"}));

}  // namespace
}  // namespace tessera
