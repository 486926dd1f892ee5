// Operators and versions that a model's import writes as others.
#include <gmock/gmock.h>

#include <cmath>

#include "runtime/tensor/text.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/made_up.h"
#include "tests/support/model_text.h"

namespace tessera {
namespace {

// A model of the one node, its input x of x's type and shape.
Graph model(const std::string& node, const Tensor& x, int opset = 17) {
  return load_text("node { " + node + " input: \"x\" output: \"y\" } " + input_text("x", x) + "output { name: \"y\" }",
                   {}, opset);
}
Tensor imported(const std::string& node, const Tensor& x, int opset = 17) {
  return interpret(model(node, x, opset), std::map<std::string, Tensor>{{"x", x}}).at("y");
}

const std::string over_last_two =
    "op_type: \"MeanVarianceNormalization\" attribute { name: \"axes\" ints: -1 ints: 1 type: INTS }";

TEST(MeanVarianceNormalization, takes_the_statistics_of_its_axes) {
  const Tensor x = tensor_from_text("{{{1, 3}, {5, 7}}, {{0, 0}, {4, 4}}}");
  // Variances 5 and 4.
  const Tensor y = tensor_from_text("{{{-1.3416408, -0.4472136}, {0.4472136, 1.3416408}}, {{-1, -1}, {1, 1}}}");
  EXPECT_TRUE(close(imported(over_last_two, x), y));
  EXPECT_TRUE(close(
      imported("op_type: \"MeanVarianceNormalization\"", x.reshaped({2, 1, 2, 2})),
      tensor_from_text(
          "{{{{-0.8528029, 0}, {0.8528029, 1.7056057}}}, {{{-1.2792043, -1.2792043}, {0.4264014, 0.4264014}}}}")));
  EXPECT_THAT(
      gradient_errors(model(over_last_two, converted(x, DType::f64)), {converted(x, DType::f64)}, builtin_registry()),
      testing::IsEmpty());
}

TEST(MeanVarianceNormalization, of_equal_elements_is_zero_in_every_type) {
  for (const DType t : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    const Tensor x = converted(tensor_from_text("{{{7, 7}, {7, 7}}}"), t);
    EXPECT_TRUE(close(imported(over_last_two, x), converted(tensor_from_text("{{{0, 0}, {0, 0}}}"), t))) << t;
  }
}

TEST(LRN, divides_by_the_squares_of_neighbouring_channels) {
  for (const Shape& shape : {Shape{2, 5, 3}, Shape{1, 4, 2, 3}, Shape{2, 3}, Shape{2, 3, 0}})
    for (const std::int64_t size : {1, 2, 3, 4, 9}) {
      const Tensor x = made_up(DType::f64, shape, 3);
      Tensor y = Tensor::zeros(DType::f64, shape);
      const std::int64_t channels = shape[1], inner = count(shape) / (shape[0] * channels);
      const auto at = [&](std::int64_t n, std::int64_t c, std::int64_t i) {
        return static_cast<std::size_t>((n * channels + c) * inner + i);
      };
      for (std::int64_t n = 0; n < shape[0]; ++n)
        for (std::int64_t c = 0; c < channels; ++c)
          for (std::int64_t i = 0; i < inner; ++i) {
            double sum = 0;
            for (std::int64_t other = c - (size - 1) / 2; other <= c + size / 2; ++other)
              if (other >= 0 && other < channels) sum += std::pow(x.read<double>()[at(n, other, i)], 2);
            y.write<double>()[at(n, c, i)] =
                x.read<double>()[at(n, c, i)] / std::pow(2 + 0.5 / static_cast<double>(size) * sum, 0.75);
          }
      const std::string node = concat("op_type: \"LRN\" attribute { name: \"size\" i: ", size,
                                      " type: INT } attribute { name: \"alpha\" f: 0.5 type: FLOAT } attribute { name: "
                                      "\"bias\" f: 2 type: FLOAT }");
      EXPECT_TRUE(close(imported(node, x), y)) << shape << " " << size;
      EXPECT_THAT(gradient_errors(model(node, x), {x}, builtin_registry()), testing::IsEmpty()) << shape << " " << size;
    }
}

TEST(LRN, of_sixteen_bits_does_not_overflow) {
  const Tensor x = converted(tensor_from_text("{{{300}, {-300}}}"), DType::f16);
  const Tensor y = imported("op_type: \"LRN\" attribute { name: \"size\" i: 1 type: INT }", x);
  EXPECT_TRUE(close(y, converted(tensor_from_text("{{{53.3484}, {-53.3484}}}"), DType::f16), {0.1, 0.001}));
}

// Nearest looked up along the axes that shrink and down along the others, whenever the scales become known.
TEST(Resize, of_opset_10_rounds_axis_by_axis) {
  struct {
    std::string x, scales, y;
  } const cases[] = {{"{{1, 2}, {3, 4}, {5, 6}, {7, 8}}", "{0.5, 2}", "f32{{1, 1, 2, 2}, {5, 5, 6, 6}}"},
                     {"{1, 2, 3, 4}", "{0.6}", "f32{1, 3}"},
                     {"{1, 2, 3}", "{1.5}", "f32{1, 1, 2, 3}"}};
  for (const auto& c : cases) {
    const Tensor x = tensor_from_text(c.x), scales = tensor_from_text(c.scales);
    std::string constant = concat("initializer { name: \"s\" data_type: 1 dims: ", scales.size(), " ");
    for (const double s : doubles(scales)) constant += concat("float_data: ", s, " ");
    for (const auto& given : {constant + "} ", input_text("s", scales)}) {
      const Graph g = load_text("node { op_type: \"Resize\" input: \"x\" input: \"s\" output: \"y\" } " +
                                    input_text("x", x) + given + "output { name: \"y\" }",
                                {}, 10);
      EXPECT_EQ(to_text(interpret(g, std::map<std::string, Tensor>{{"x", x}, {"s", scales}}).at("y")), c.y) << given;
    }
  }
}

// Before opset 13 the axes from `axis` (1) on were one.
TEST(Hardmax, of_old_versions_takes_rows_of_a_matrix) {
  const Tensor x = tensor_from_text("{{{1, 3}, {5, 7}}, {{9, 0}, {4, 4}}}");
  EXPECT_EQ(to_text(imported("op_type: \"Hardmax\"", x, 11)), "f32{{{0, 0}, {0, 1}}, {{1, 0}, {0, 0}}}");
  EXPECT_EQ(to_text(imported("op_type: \"Hardmax\"", x, 13)), "f32{{{0, 1}, {0, 1}}, {{1, 0}, {1, 0}}}");
}

}  // namespace
}  // namespace tessera
