// Operators of quantised products, which a model's import writes as others: by their definitions, on values and shapes
// that the ONNX suite's cases do not have.
#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "runtime/tensor/text.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/model_text.h"

namespace tessera {
namespace {

// A graph of these nodes; its inputs are named a, b, ...
std::string graph_text(const std::string& nodes, const std::vector<Tensor>& in, const std::string& outputs = "y") {
  std::string text = nodes;
  for (std::size_t i = 0; i < in.size(); ++i) text += " " + input_text({static_cast<char>('a' + i)}, in[i]);
  for (const char name : outputs) text += concat("output { name: \"", name, "\" } ");
  return text;
}
Tensor run(const std::string& nodes, const std::vector<Tensor>& in) {
  return interpret(load_text(graph_text(nodes, in)), in)[0];
}

template <class T>
Tensor random(std::mt19937& engine, const Shape& shape) {
  Tensor t = Tensor::zeros(dtype_of<T>, shape);
  for (T& x : t.write<T>()) x = static_cast<T>(engine());
  return t;
}

TEST(DynamicQuantizeLinear, makes_the_range_hold_zero) {
  const auto of = [](const std::string& x) {
    const std::vector in{tensor_from_text(x)};
    const std::string node =
        "node { op_type: \"DynamicQuantizeLinear\" input: \"a\" output: \"y\" output: \"s\" output: \"z\" }";
    const auto out = interpret(load_text(graph_text(node, in, "ysz")), in);
    return to_text(out[0]) + " " + to_text(out[1]) + " " + to_text(out[2]);
  };
  EXPECT_EQ(of("{51, 102, 255}"), "u8{51, 102, 255} f32 1 u8 0");
  EXPECT_EQ(of("{-510, -2}"), "u8{0, 254} f32 2 u8 255");
  EXPECT_EQ(of("{-1, 0, 126.5}"), "u8{0, 2, 255} f32 0.5 u8 2");
  EXPECT_EQ(of("{0, 0}"), "u8{0, 0} f32 1 u8 0");
  EXPECT_EQ(of("f32[0]{}"), "u8[0]{} f32 1 u8 0");
}

// As ONNX Runtime's quantiser writes a linear layer, one scale per column of the weight.
TEST(MatMulInteger, serves_dynamically_quantised_layers) {
  std::mt19937 engine(5);
  std::normal_distribution<float> normal;
  constexpr std::int64_t m = 7, n = 30, k = 600;
  Tensor x = Tensor::zeros(DType::f32, {1, m, k}), scales = Tensor::zeros(DType::f32, {n});
  for (float& e : x.write<float>()) e = normal(engine);
  for (float& e : scales.write<float>()) e = 0.01f + std::abs(normal(engine)) / 50;
  const Tensor w = random<std::int8_t>(engine, {k, n}), zeros = random<std::int8_t>(engine, {n});
  const Tensor y =
      run("node { op_type: \"DynamicQuantizeLinear\" input: \"a\" output: \"q\" output: \"s\" output: \"o\" } "
          "node { op_type: \"MatMulInteger\" input: \"q\" input: \"b\" input: \"o\" input: \"d\" output: \"i\" } "
          "node { op_type: \"Cast\" attribute { name: \"to\" i: 1 type: INT } input: \"i\" output: \"f\" } "
          "node { op_type: \"Mul\" input: \"s\" input: \"c\" output: \"both\" } "
          "node { op_type: \"Mul\" input: \"f\" input: \"both\" output: \"y\" }",
          {x, w, scales, zeros});
  ASSERT_EQ(y.shape(), (Shape{1, m, n}));
  const auto [low, high] = std::ranges::minmax(x.read<float>());
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0, weight = 0;
      for (std::int64_t c = 0; c < k; ++c) {
        const double of = (w.read<std::int8_t>()[c * n + j] - zeros.read<std::int8_t>()[j]) *
                          static_cast<double>(scales.read<float>()[j]);
        sum += of * static_cast<double>(x.read<float>()[i * k + c]);
        weight += std::abs(of);
      }
      // Every x is off by half a step at most.
      EXPECT_NEAR(y.read<float>()[i * n + j], sum, weight * (high - low) / 255 * 0.51) << i << ", " << j;
    }
}

struct Case {
  std::int64_t channels, maps, groups, size, kernel, stride, pad;
};

// Sums of (x - x_zero) (w - w_zero[map]) over windows, outside of which x is its zero.
std::vector<std::int64_t> windows(const Case& c, const Tensor& x, const Tensor& w, int x_zero, const Tensor& w_zero) {
  const std::int64_t out = (c.size + 2 * c.pad - c.kernel) / c.stride + 1, per = c.channels / c.groups;
  std::vector<std::int64_t> y;
  for (std::int64_t map = 0; map < c.maps; ++map)
    for (std::int64_t at = 0; at < out * out; ++at) {
      std::int64_t sum = 0;
      for (std::int64_t tap = 0; tap < per * c.kernel * c.kernel; ++tap) {
        const std::int64_t row = at / out * c.stride + tap / c.kernel % c.kernel - c.pad,
                           column = at % out * c.stride + tap % c.kernel - c.pad;
        if (row < 0 || column < 0 || row >= c.size || column >= c.size) continue;
        const std::int64_t channel = map / (c.maps / c.groups) * per + tap / (c.kernel * c.kernel);
        sum += (x.read<std::uint8_t>()[(channel * c.size + row) * c.size + column] - x_zero) *
               (w.read<std::int8_t>()[map * per * c.kernel * c.kernel + tap] -
                w_zero.read<std::int8_t>()[w_zero.size() == 1 ? 0 : map]);
      }
      y.push_back(sum);
    }
  return y;
}

std::string window_attributes(const Case& c) {
  return concat("attribute { name: \"group\" i: ", c.groups,
                " type: INT } attribute { name: \"strides\" ints: ", c.stride, " ints: ", c.stride,
                " type: INTS } attribute { name: \"pads\" ints: ", c.pad, " ints: ", c.pad, " ints: ", c.pad,
                " ints: ", c.pad, " type: INTS } ");
}

// The last has more taps than f32 counts.
const Case cases[] = {{3, 4, 1, 9, 3, 2, 1}, {4, 6, 2, 6, 2, 1, 0}, {5, 5, 5, 7, 3, 1, 2}, {900, 2, 1, 5, 3, 1, 1}};

TEST(ConvInteger, follows_its_definition) {
  std::mt19937 engine(5);
  for (const Case& c : cases)
    for (const bool each : {false, true}) {
      SCOPED_TRACE(concat(c.channels, " channels, ", c.maps, " maps, zero points ", each ? "of each" : "of all"));
      const Tensor x = random<std::uint8_t>(engine, {1, c.channels, c.size, c.size});
      const Tensor w = random<std::int8_t>(engine, {c.maps, c.channels / c.groups, c.kernel, c.kernel});
      const Tensor w_zero = random<std::int8_t>(engine, each ? Shape{c.maps} : Shape{});
      const Tensor y =
          run("node { op_type: \"ConvInteger\" input: \"a\" input: \"b\" input: \"c\" input: \"d\" output: "
              "\"y\" " +
                  window_attributes(c) + "}",
              {x, w, tensor_from_text("u8{200}"), w_zero});
      const auto got = y.read<std::int32_t>();
      EXPECT_THAT(std::vector<std::int64_t>(got.begin(), got.end()),
                  testing::ElementsAreArray(windows(c, x, w, 200, w_zero)));
    }
}

TEST(QLinearConv, follows_its_definition) {
  std::mt19937 engine(5);
  for (const Case& c : cases) {
    SCOPED_TRACE(concat(c.channels, " channels, ", c.maps, " maps"));
    const Tensor x = random<std::uint8_t>(engine, {1, c.channels, c.size, c.size});
    const Tensor w = random<std::int8_t>(engine, {c.maps, c.channels / c.groups, c.kernel, c.kernel});
    const Tensor w_zero = random<std::int8_t>(engine, {c.maps});
    Tensor w_scale = Tensor::zeros(DType::f32, {c.maps}), bias = Tensor::zeros(DType::i32, {c.maps});
    for (float& s : w_scale.write<float>()) s = static_cast<float>(1 + engine() % 7) / 1024;
    for (std::int32_t& b : bias.write<std::int32_t>()) b = static_cast<std::int32_t>(engine() % 20001) - 10000;
    std::string inputs;
    for (const char name : std::string("abcdefghi")) inputs += concat("input: \"", name, "\" ");
    const Tensor y = run("node { op_type: \"QLinearConv\" " + inputs + "output: \"y\" " + window_attributes(c) + "}",
                         {x, tensor_from_text("{0.25}"), tensor_from_text("u8 100"), w, w_scale, w_zero,
                          tensor_from_text("4"), tensor_from_text("i8{-3}"), bias});
    const auto sums = windows(c, x, w, 100, w_zero);
    ASSERT_EQ(y.size(), std::ssize(sums));
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const auto map = static_cast<std::int64_t>(i) / (std::ssize(sums) / c.maps);
      const double real = static_cast<double>(sums[i] + bias.read<std::int32_t>()[map]) * 0.25 *
                          static_cast<double>(w_scale.read<float>()[map]) / 4;
      EXPECT_EQ(y.read<std::int8_t>()[i], std::clamp(std::nearbyint(real) - 3, -128.0, 127.0)) << i;
    }
  }
}

TEST(QuantisedImport, says_what_it_does_not_take) {
  const auto failure = [](const std::string& node, const std::vector<Tensor>& in) {
    return failure_of_text(graph_text(node, in)).text;
  };
  const Tensor bytes = tensor_from_text("u8{{1, 2}, {3, 4}}"), one = tensor_from_text("{1}"),
               two = tensor_from_text("{1, 2}"), zero = tensor_from_text("u8{0}");
  EXPECT_THAT(
      failure("node { op_type: \"QLinearMatMul\" input: \"a\" input: \"b\" input: \"c\" input: \"a\" input: \"b\" "
              "input: \"c\" input: \"d\" input: \"c\" output: \"y\" }",
              {bytes, one, zero, two}),
      testing::HasSubstr("scales [2] where one for all is expected"));
  EXPECT_THAT(failure("node { op_type: \"MatMulInteger\" input: \"a\" input: \"a\" input: \"b\" output: \"y\" }",
                      {bytes, tensor_from_text("u8{1, 2, 3}")}),
              testing::HasSubstr("zero points [3] for 2 rows"));
  EXPECT_THAT(failure("node { op_type: \"ConvInteger\" input: \"a\" input: \"a\" output: \"y\" }", {bytes}),
              testing::HasSubstr("a weight of rank 3 or more is needed, got [2x2]"));
}

}  // namespace
}  // namespace tessera
