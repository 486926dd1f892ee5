// What the examples of the elementwise operators do not show: errors, limits of integers, large broadcasts.
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "runtime/tensor/text.h"
#include "tests/support/compare.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

Tensor run(std::string_view op, const std::vector<Tensor>& in, Attributes attributes = {}) {
  std::vector<const Tensor*> pointers;
  for (const auto& t : in) pointers.push_back(&t);
  return evaluate(builtin_registry().at(op), attributes, pointers, 1)[0];
}
Tensor result(std::string_view op, const std::vector<std::string>& in, Attributes attributes = {}) {
  std::vector<Tensor> tensors;
  for (const auto& t : in) tensors.push_back(tensor_from_text(t));
  return run(op, tensors, attributes);
}
std::string text(std::string_view op, const std::vector<std::string>& in, Attributes attributes = {}) {
  return to_text(result(op, in, std::move(attributes)));
}

TEST(Division, of_integers_by_zero_is_an_error) {
  for (const char* op : {"Div", "Mod"})
    for (const char* type : {"i8", "i32", "i64", "u8", "u64"})
      EXPECT_THROW(text(op, {concat(type, "{1, 2}"), concat(type, "{1, 0}")}), Error) << op << type;
  EXPECT_EQ(text("Div", {"i32[0]{}", "i32 0"}), "i32[0]{}");
  EXPECT_EQ(text("Div", {"{1, -1}", "0"}), "f32{inf, -inf}");
}

TEST(Division, of_the_smallest_integer_by_minus_one_wraps) {
  EXPECT_TRUE(
      same_bits(result("Div", {"i64{-9223372036854775808}", "i64 -1"}), tensor_from_text("i64{-9223372036854775808}")));
  EXPECT_TRUE(same_bits(result("Mod", {"i64{-9223372036854775808}", "i64 -1"}), tensor_from_text("i64{0}")));
  EXPECT_TRUE(same_bits(result("Mod", {"i8{-128}", "i8 -1"}, {{"fmod", std::int64_t{1}}}), tensor_from_text("i8{0}")));
  EXPECT_TRUE(same_bits(result("Neg", {"i64{-9223372036854775808}"}), tensor_from_text("i64{-9223372036854775808}")));
}

TEST(Mod, of_floats_needs_fmod) { EXPECT_THROW(text("Mod", {"{1}", "{2}"}), Error); }

TEST(Pow, keeps_to_the_c_library_at_the_known_exponents) {
  for (const double e : {2.0, 3.0, 1.0, -1.0, 0.5, -0.5})
    for (const char* base : {"0", "-0", "-2", "inf", "-inf", "nan", "1e-30", "7"}) {
      const Tensor x = tensor_from_text(concat("f64 ", base)), y = Tensor::scalar(DType::f64, e);
      const double got = run("Pow", {x, y}).read<double>()[0], want = std::pow(x.read<double>()[0], e);
      EXPECT_TRUE(std::isnan(want) ? std::isnan(got) : std::abs(got - want) <= 1e-12 * std::abs(want) || got == want)
          << base << " ^ " << e << ": " << got << ", not " << want;
    }
}

TEST(Pow, of_integers_is_exact_and_safe) {
  EXPECT_TRUE(same_bits(result("Pow", {"i64{2, -2, 1, -1, 0}", "i64 -3"}), tensor_from_text("i64{0, 0, 1, -1, 0}")));
  EXPECT_TRUE(same_bits(result("Pow", {"i32{2, 3}", "0.5"}), tensor_from_text("i32{1, 1}")));
  EXPECT_TRUE(same_bits(result("Pow", {"i32{-2, 10}", "{0.5, 40}"}), tensor_from_text("i32{0, 2147483647}")));
  EXPECT_EQ(text("Pow", {"{2, 4}", "i32{-1, 2}"}), "f32{0.5, 16}");
}

TEST(Extremes, let_nan_through_from_either_side) {
  EXPECT_EQ(text("Max", {"{nan, 1}", "{1, nan}"}), "f32{nan, nan}");
  EXPECT_EQ(text("Min", {"{nan, 1}", "{1, nan}"}), "f32{nan, nan}");
  EXPECT_EQ(text("Clip", {"{nan, 5}", "0", "1"}), "f32{nan, 1}");
  EXPECT_EQ(text("Relu", {"{nan, -1}"}), "f32{nan, 0}");
  EXPECT_EQ(text("Sign", {"{nan, -0.5}"}), "f32{nan, -1}");
}

// 2048 + 1 is no f16: a sum rounded after each input would stay at 2048.
TEST(Sum, of_many_is_rounded_once) {
  const std::string big = "f16{2048, -0}", one = "f16{1, -0}";
  EXPECT_TRUE(same_bits(result("Sum", {big, one, one}), tensor_from_text("f16{2050, -0}")));
  EXPECT_TRUE(same_bits(result("Mean", {big, one, one, big}), tensor_from_text("f16{1024.5, -0}")));
}

TEST(Sum, of_many_broadcasts_each_across_chunks) {
  const auto range = [](const Shape& shape) {
    Tensor t(DType::f32, shape);
    for (std::int64_t i = 0; i < t.size(); ++i)
      t.write<float>()[static_cast<std::size_t>(i)] = static_cast<float>(i % 97);
    return t;
  };
  const Tensor column = range({300, 1}), row = range({200}), full = range({300, 200});
  const Tensor sum = run("Sum", {column, row, full, column});
  for (std::int64_t i = 0; i < sum.size(); ++i)
    ASSERT_EQ(sum.read<float>()[static_cast<std::size_t>(i)],
              static_cast<float>(2 * (i / 200 % 97) + i % 200 % 97 + i % 97));
}

TEST(LpNormalization, keeps_very_small_and_large_elements) {
  EXPECT_TRUE(close(result("LpNormalization", {"{3e-30, -4e-30}"}), tensor_from_text("{0.6, -0.8}")));
  EXPECT_TRUE(close(result("LpNormalization", {"{3e30, -4e30}"}), tensor_from_text("{0.6, -0.8}")));
  EXPECT_EQ(text("LpNormalization", {"{{0, 0}, {1, 0}}"}), "f32{{0, 0}, {1, 0}}");
  EXPECT_THROW(text("LpNormalization", {"{1, 2}"}, {{"p", std::int64_t{3}}}), Error);
}

TEST(Activations, refuse_what_their_formulas_exclude) {
  EXPECT_THROW(text("Celu", {"{1}"}, {{"alpha", 0.0f}}), Error);
  EXPECT_THROW(text("PRelu", {"{1, 2}", "{{1, 2}, {3, 4}}"}), Error);
}

// Next to 0, where e^x - 1 written out would have no digits left.
TEST(Activations, keep_their_digits_next_to_zero) {
  for (const char* op : {"Elu", "Celu", "Asinh", "Atanh", "Sinh", "Tan", "Asin", "Atan", "Softsign"})
    for (const float x : {-1e-12f, -1e-30f}) EXPECT_FLOAT_EQ(run(op, {Tensor::scalar(x)}).read<float>()[0], x) << op;
}

TEST(BitShift, goes_left_or_right) {
  EXPECT_THROW(text("BitShift", {"u8{1}", "u8{1}"}, {{"direction", std::string("UP")}}), Error);
  EXPECT_THROW(text("BitShift", {"u8{1}", "u8{1}"}), Error);
}

TEST(Sine, of_large_angles_is_right) {
  const auto y = run("Sin", {tensor_from_text("{1e8, 1, -3e12, 1e30}")});
  const float x[] = {1e8f, 1.0f, -3e12f, 1e30f};
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(y.read<float>()[i], std::sin(static_cast<double>(x[i])), 1e-6) << x[i];
}

// Every pattern of broadcast axes against index arithmetic.
TEST(Sine, of_an_angle_does_not_depend_on_its_neighbours) {
  std::vector<float> x(5000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.01f * static_cast<float>(i);
  for (const char* op : {"Sin", "Cos"}) {
    const Tensor alone = run(op, {Tensor::vector<float>(x)});
    for (const float other : {2e6f, NAN}) {
      x[17] = other;
      const Tensor beside = run(op, {Tensor::vector<float>(x)});
      for (std::size_t i = 18; i < x.size(); ++i) EXPECT_EQ(alone.read<float>()[i], beside.read<float>()[i]) << op << i;
    }
    x[17] = 0.17f;
  }
}

// A plain sum in f32 is off by 1.5e-3.
TEST(Softmax, of_a_long_slice_loses_nothing) {
  constexpr std::size_t n = 1'000'000;
  std::vector<float> x(n, -0.105f);
  x[0] = 0;
  const double sum = 1 + (n - 1) * std::exp(static_cast<double>(-0.105f));
  EXPECT_NEAR(run("Softmax", {Tensor::vector<float>(x)}).read<float>()[0] * sum, 1, 1e-4);
  EXPECT_NEAR(run("LogSoftmax", {Tensor::vector<float>(x)}).read<float>()[0], -std::log(sum), 1e-4);
}

// Sizes that go to one backend each.
TEST(Gemm, takes_any_alpha_at_any_size) {
  for (const std::int64_t n : {8, 64, 200, 1024}) {
    const auto filled = [&](float x) {
      Tensor t(DType::f32, {n, n});
      std::fill_n(t.write<float>().data(), n * n, x);
      return t;
    };
    const float none = run("Gemm", {filled(INFINITY), filled(1)}, {{"alpha", 0.0f}}).read<float>()[0];
    EXPECT_EQ(none, 0) << n;
    const float small = run("Gemm", {filled(1e25f), filled(1e-25f)}, {{"alpha", 1e-25f}}).read<float>()[0];
    EXPECT_NEAR(small / (1e-25 * static_cast<double>(n)), 1, 1e-4) << n;
  }
}

TEST(Broadcast, reads_any_pattern) {
  const Shape out{3, 4, 5, 6};
  for (int pattern = 0; pattern < 256; ++pattern) {
    Shape a = out, b = out;
    for (std::size_t i = 0; i < 4; ++i) {
      if (pattern >> i & 1) a[i] = 1;
      if (pattern >> (4 + i) & 1) b[i] = 1;
    }
    const Shape full = broadcast(a, b), sa = broadcast_strides(a, full), sb = broadcast_strides(b, full);
    const auto range = [](const Shape& shape, float step) {
      Tensor t(DType::f32, shape);
      for (std::int64_t i = 0; i < t.size(); ++i)
        t.write<float>()[static_cast<std::size_t>(i)] = step * static_cast<float>(i);
      return t;
    };
    const Tensor x = range(a, 1), y = range(b, 1000);
    const Tensor sum = run("Add", {x, y});
    const Tensor chosen = run("Where", {run("Less", {y, x}), x, y});
    const Shape strides = row_major_strides(full);
    for (std::int64_t i = 0; i < sum.size(); ++i) {
      std::int64_t ia = 0, ib = 0;
      for (std::size_t d = 0; d < 4; ++d) {
        ia += i / strides[d] % full[d] * sa[d];
        ib += i / strides[d] % full[d] * sb[d];
      }
      const auto fa = static_cast<float>(ia), fb = 1000.0f * static_cast<float>(ib);
      ASSERT_EQ(sum.read<float>()[static_cast<std::size_t>(i)], fa + fb) << pattern;
      ASSERT_EQ(chosen.read<float>()[static_cast<std::size_t>(i)], std::max(fa, fb)) << pattern;
    }
  }
}

TEST(Broadcast, of_unlike_shapes_is_an_error) { EXPECT_THROW(text("Add", {"{1, 2}", "{1, 2, 3}"}), Error); }

}  // namespace
}  // namespace tessera
