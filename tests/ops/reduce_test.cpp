// Reductions against the plainest loop, over all kinds of axes, and in the bits across threads.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "runtime/tensor/text.h"
#include "tests/support/compare.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

Tensor run(std::string_view op, const Tensor& x, std::vector<std::int64_t> axes, Attributes attributes = {}) {
  const Tensor list = Tensor::vector<std::int64_t>(axes);
  const Tensor* in[] = {&x, &list};
  return evaluate(builtin_registry().at(op), attributes, in, 1)[0];
}

Tensor uneven(DType t, const Shape& shape) {
  std::vector<double> values(static_cast<std::size_t>(element_count(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i * 7919 % 1013) / 100 - 3;
  return converted(Tensor::of<double>(shape, values), t);
}

// Sums and maxima of f64 by walking over every element.
struct Naive {
  Tensor sum, most;
  Naive(const Tensor& x, const std::vector<std::int64_t>& axes) {
    Shape out = x.shape();
    for (const auto a : axes) out[static_cast<std::size_t>(a)] = 1;
    sum = Tensor::zeros(DType::f64, out);
    most = Tensor(DType::f64, out);
    std::fill_n(most.write<double>().data(), most.size(), -std::numeric_limits<double>::infinity());
    const auto values = doubles(x);
    const Shape strides = row_major_strides(x.shape()), to = broadcast_strides(out, x.shape());
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::size_t o = 0;
      for (std::size_t a = 0; a < out.size(); ++a)
        o += static_cast<std::size_t>(static_cast<std::int64_t>(i) / strides[a] % x.shape()[a] * to[a]);
      sum.write<double>()[o] += values[i];
      most.write<double>()[o] = std::max(most.write<double>()[o], values[i]);
    }
  }
};

TEST(Reduce, agrees_with_the_plain_loop_over_any_axes) {
  const std::vector<std::pair<Shape, std::vector<std::int64_t>>> cases = {
      {{5, 7}, {1}},          {{5, 7}, {0}},          {{3, 300}, {1}},
      {{300, 3}, {0}},        {{2, 3, 4, 5}, {1, 3}}, {{2, 3, 4, 5}, {0, 2}},
      {{2, 3, 4, 5}, {1, 2}}, {{2, 1, 4, 1}, {1, 2}}, {{100000}, {0}},
      {{70000, 5}, {0}},      {{5, 70000}, {1}},      {{40, 3, 2500}, {0, 2}},
      {{9, 5000}, {0}},       {{3, 1000, 130}, {1}},  {{2, 3, 2, 3, 2}, {0, 2, 4}},
      {{200, 1, 17}, {2}},
  };
  for (const auto& [shape, axes] : cases) {
    SCOPED_TRACE(concat(shape, " over ", axes[0]));
    const Tensor x = uneven(DType::f32, shape);
    const Naive naive(x, axes);
    for (const auto& [op, expected] : {std::pair{"ReduceSum", naive.sum}, std::pair{"ReduceMax", naive.most}}) {
      const auto run_with = [&, op = op, axes = axes](int threads) {
        Tensor y;
        with_threads(threads, [&] { y = run(op, x, axes); });
        return y;
      };
      const Tensor one = run_with(1), many = run_with(8);
      EXPECT_TRUE(close(converted(one, DType::f64), expected)) << op;
      EXPECT_TRUE(same_bits(one, many)) << op;
    }
  }
}

TEST(Reduce, keeps_the_mean_of_a_million_elements_exact) {
  Tensor x(DType::f32, {1000000});
  std::fill_n(x.write<float>().data(), x.size(), 0.1f);
  EXPECT_EQ(run("ReduceMean", x, {0}).read<float>()[0], 0.1f);
  EXPECT_EQ(run("ReduceSum", converted(x, DType::bf16), {0}).read<bf16>()[0], bf16(1e6f * float(bf16(0.1f))));
}

TEST(Reduce, lets_nan_through_extremes_wherever_it_stands) {
  for (const std::int64_t at : {0, 17, 99, 250, 299}) {
    Tensor x = uneven(DType::f32, {300});
    x.write<float>()[static_cast<std::size_t>(at)] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(run("ReduceMax", x, {0}).read<float>()[0])) << at;
    EXPECT_TRUE(std::isnan(run("ReduceMin", x, {0}).read<float>()[0])) << at;
  }
}

TEST(Reduce, of_a_scalar_and_of_nothing) {
  EXPECT_EQ(to_text(run("ReduceSum", tensor_from_text("3"), {})), "f32 3");
  EXPECT_EQ(to_text(run("ReduceSum", tensor_from_text("f32[0x3]{}"), {0})), "f32{{0, 0, 0}}");
  EXPECT_EQ(run("ReduceSum", tensor_from_text("f32[0x3]{}"), {1}).shape(), (Shape{0, 1}));
  EXPECT_TRUE(std::isnan(run("ReduceMean", tensor_from_text("f32[0]{}"), {0}).read<float>()[0]));
}

TEST(Reduce, refuses_wrong_axes) {
  EXPECT_THROW(run("ReduceSum", tensor_from_text("{1, 2}"), {1}), Error);
  EXPECT_THROW(run("ReduceSum", tensor_from_text("{{1, 2}}"), {0, -2}), Error);
}

TEST(ArgMax, finds_the_first_or_last_along_any_axis) {
  const Tensor x = tensor_from_text("{{{3, 1}, {3, 2}}, {{0, 2}, {5, 2}}}");
  const Tensor* in[] = {&x};
  const auto arg = [&](std::int64_t axis, std::int64_t last) {
    return to_text(evaluate(builtin_registry().at("ArgMax"),
                            {{"axis", axis}, {"keepdims", std::int64_t{0}}, {"select_last_index", last}}, in, 1)[0]);
  };
  EXPECT_EQ(arg(0, 0), "i64{{0, 1}, {1, 0}}");
  EXPECT_EQ(arg(0, 1), "i64{{0, 1}, {1, 1}}");
  EXPECT_EQ(arg(1, 0), "i64{{0, 1}, {1, 0}}");
  EXPECT_EQ(arg(1, 1), "i64{{1, 1}, {1, 1}}");
  EXPECT_EQ(arg(2, 0), "i64{{0, 0}, {1, 0}}");
  const Tensor none = tensor_from_text("f32[0x2]{}");
  const Tensor* empty[] = {&none};
  EXPECT_THROW(evaluate(builtin_registry().at("ArgMax"), {}, empty, 1), Error);
  EXPECT_EQ(evaluate(builtin_registry().at("ArgMax"), {{"axis", std::int64_t{1}}}, empty, 1)[0].shape(), (Shape{0, 1}));
}

}  // namespace
}  // namespace tessera
