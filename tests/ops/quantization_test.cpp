// QuantizeLinear and DequantizeLinear in all granularities against their definition; what they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "tests/support/compare.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

using Random = std::mt19937;

Tensor numbers(Random& random, DType dtype, const Shape& shape, int least, int most) {
  std::vector<double> v(static_cast<std::size_t>(count(shape)));
  for (auto& x : v) x = least + static_cast<int>(random() % static_cast<unsigned>(most - least + 1));
  return converted(Tensor::of<double>(shape, v), dtype);
}

Tensor run(std::string_view op, const std::vector<Tensor>& in, const Attributes& attributes) {
  std::vector<const Tensor*> p;
  for (const auto& t : in) p.push_back(&t);
  return evaluate(builtin_registry().at(op), attributes, p, 1)[0];
}

// The scale's element for every element of x [outer, dim, inner], of which `block` share one along the middle axis.
std::vector<std::size_t> scale_of(const Shape& x, std::int64_t block, bool own_inner) {
  std::vector<std::size_t> of;
  const std::int64_t blocks = (x[1] + block - 1) / block;
  for (std::int64_t o = 0; o < x[0]; ++o)
    for (std::int64_t a = 0; a < x[1]; ++a)
      for (std::int64_t i = 0; i < x[2]; ++i)
        of.push_back(static_cast<std::size_t>(own_inner ? (o * blocks + a / block) * x[2] + i : a));
  return of;
}

void expect_definition(Random& random, const Shape& x, const Shape& scale, const std::vector<std::size_t>& of,
                       const Attributes& attributes) {
  SCOPED_TRACE(concat("x ", x, " scale ", scale));
  const Tensor q = numbers(random, DType::i8, x, -128, 127), zero = numbers(random, DType::i8, scale, -9, 9);
  const Tensor real = numbers(random, DType::f32, x, -999, 999), by = numbers(random, DType::f32, scale, 1, 7);
  const auto qs = doubles(q), zeros = doubles(zero), reals = doubles(real), scales = doubles(by);
  std::vector<double> back, there;
  for (std::size_t i = 0; i < of.size(); ++i) {
    back.push_back((qs[i] - zeros[of[i]]) * scales[of[i]]);
    there.push_back(std::clamp(std::nearbyint(reals[i] / scales[of[i]]) + zeros[of[i]], -128.0, 127.0));
  }
  for (const int threads : {1, 8})
    with_threads(threads, [&] {
      EXPECT_TRUE(same_bits(run("DequantizeLinear", {q, by, zero}, attributes),
                            converted(Tensor::of<double>(x, back), DType::f32)));
      EXPECT_TRUE(same_bits(run("QuantizeLinear", {real, by, zero}, attributes),
                            converted(Tensor::of<double>(x, there), DType::i8)));
    });
}

TEST(Quantization, follows_its_definition) {
  Random random{3};
  for (const Shape& x : {Shape{3, 5, 7}, Shape{2, 2500, 1}, Shape{2, 3, 2500}, Shape{40, 33, 20}, Shape{2, 0, 3}}) {
    expect_definition(random, x, {}, std::vector<std::size_t>(static_cast<std::size_t>(count(x)), 0), {});
    expect_definition(random, x, {x[1]}, scale_of(x, 1, false), {{"axis", std::int64_t{-2}}});
    for (const std::int64_t block : {1, 2, 32, 1100, 5000}) {
      const std::int64_t size = std::min(block, std::max<std::int64_t>(x[1], 1));
      expect_definition(random, x, {x[0], (x[1] + size - 1) / size, x[2]}, scale_of(x, size, true),
                        {{"block_size", block}});
    }
  }
}

std::string refusal(std::string_view op, const std::vector<Tensor>& in, const Attributes& attributes) {
  try {
    run(op, in, attributes);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Quantization, says_what_does_not_fit) {
  using testing::HasSubstr;
  const Tensor x = Tensor::zeros(DType::f32, {2, 3}), one = Tensor::scalar(1.0f), q = Tensor::zeros(DType::i8, {2, 3});
  const Tensor two = Tensor::zeros(DType::f32, {2});
  const auto number = [](std::int64_t n) { return Attribute(n); };
  EXPECT_THAT(refusal("QuantizeLinear", {x, two}, {}), HasSubstr("the scale must be a scalar, or [3] along axis 1"));
  EXPECT_THAT(refusal("QuantizeLinear", {x, two}, {{"axis", number(2)}}), HasSubstr("axis"));
  EXPECT_THAT(refusal("DequantizeLinear", {q, two}, {{"block_size", number(2)}}), HasSubstr("in blocks of 2"));
  EXPECT_THAT(refusal("DequantizeLinear", {q, one, Tensor::zeros(DType::i8, {3})}, {}), HasSubstr("the zero point"));
  EXPECT_THAT(refusal("DequantizeLinear", {q, one}, {{"block_size", number(-1)}}), HasSubstr("block_size is -1"));
  EXPECT_THAT(refusal("QuantizeLinear", {x, one}, {{"output_dtype", number(22)}}), HasSubstr("i4 is not supported"));
  EXPECT_THAT(refusal("QuantizeLinear", {x, one}, {{"output_dtype", number(99)}}), HasSubstr("no element type"));
  EXPECT_THAT(refusal("QuantizeLinear", {x, one}, {{"precision", number(7)}}),
              HasSubstr("precision i64 is no floating type"));
  EXPECT_THAT(refusal("QuantizeLinear", {x, one, Tensor::zeros(DType::i8, {})}, {{"output_dtype", number(2)}}),
              HasSubstr("y_zero_point i8"));
}

// 2.5 and a little more is 2.5 in sixteen bits, and that rounds to the even 2.
TEST(Quantization, divides_in_the_precision_of_the_scale) {
  const Tensor x = Tensor::vector<float>(std::vector<float>{2.5004f});
  const Tensor narrow = converted(Tensor::scalar(1.0f), DType::f16);
  EXPECT_EQ(doubles(run("QuantizeLinear", {x, narrow}, {})), std::vector<double>{2});
  EXPECT_EQ(doubles(run("QuantizeLinear", {x, narrow}, {{"precision", std::int64_t{1}}})), std::vector<double>{3});
  EXPECT_EQ(doubles(run("QuantizeLinear", {x, Tensor::scalar(1.0f)}, {})), std::vector<double>{3});
}

}  // namespace
}  // namespace tessera
