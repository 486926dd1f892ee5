// Gradients of f16 and bf16 against those of the same numbers in f32: of squares, counts and sums that the narrow types
// do not hold.
#include <gtest/gtest.h>

#include "runtime/op/evaluate.h"
#include "runtime/train/differentiate.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/small_graph.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

constexpr Rounding rounded_once{1e-7, 6e-3};  // bf16 keeps 2^-8; below 6e-5 f16 has steps of 6e-8

// d(sum(seed * output)) of one node by its floating inputs, the seed 1, 1/2, ... 1/8, 1, ... rounded to the output's
// type. `outputs` the node has; `which` is differentiated.
std::vector<Tensor> gradients(std::string_view op, const Attributes& attributes, const std::vector<Tensor>& in,
                              int outputs = 1, std::size_t which = 0) {
  SmallGraph g;
  std::vector<ValueId> values;
  std::vector<std::string> wanted;
  std::map<std::string, Tensor> given;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const std::string name = concat("x", i);
    if (!dtypes::floats.has(in[i].dtype())) {
      values.push_back(g.build.constant(in[i]));
      continue;
    }
    values.push_back(g.input(name, in[i].shape(), in[i].dtype()));
    given[name] = in[i];
    wanted.push_back(name);
  }
  const ValueId y = g.build.nodes(op, values, attributes, outputs)[which];
  g.output("y", y);
  const auto d = differentiate(g.g, "y", wanted, builtin_registry());
  if (!d.seed.empty()) {
    std::vector<double> seed(static_cast<std::size_t>(count(*g.build.shape(y))));
    for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = 1 / static_cast<double>(1 + i % 8);
    given[d.seed] = converted(converted(Tensor::of<double>(*g.build.shape(y), seed), DType::bf16), g.build.dtype(y));
  }
  auto out = interpret(d.graph, given);
  std::vector<Tensor> result;
  for (const auto& name : wanted) result.push_back(out.at("d." + name));
  return result;
}

// The first `narrow` inputs in f16 and in bf16, the others in f32, against all of them in f32.
void expect_as_in_f32(std::string_view op, const Attributes& attributes, const std::vector<std::string>& in,
                      std::size_t narrow) {
  for (const DType t : {DType::f16, DType::bf16}) {
    std::vector<Tensor> given, wide;
    for (std::size_t i = 0; i < in.size(); ++i) {
      given.push_back(tensor_from_text(in[i]));
      if (i < narrow) given.back() = converted(given.back(), t);
      wide.push_back(converted(given.back(), DType::f32));
    }
    const auto got = gradients(op, attributes, given), expected = gradients(op, attributes, wide);
    for (std::size_t i = 0; i < in.size(); ++i) {
      EXPECT_EQ(got[i].dtype(), given[i].dtype());
      EXPECT_TRUE(close(converted(got[i], DType::f32), expected[i], rounded_once)) << op << " input " << i << " " << t;
    }
  }
}

const std::string wide_rows = "{{0, 1, 2, 700}, {256, 258, 258, 258}, {1e-3, 2e-3, 0, 1e-3}}";

TEST(SixteenBitGradient, of_layer_and_rms_normalization) {
  expect_as_in_f32("LayerNormalization", {}, {wide_rows, "{1, 2, 3, 4}", "{1, 1, 2, 2}"}, 3);
  expect_as_in_f32("LayerNormalization", {{"epsilon", 1e-12f}}, {wide_rows}, 1);
  expect_as_in_f32("RMSNormalization", {}, {wide_rows, "{1, 2, 3, 4}"}, 2);
  expect_as_in_f32("RMSNormalization", {{"epsilon", 1e-12f}}, {wide_rows, "{1, 2, 3, 4}"}, 1);
}

TEST(SixteenBitGradient, of_group_and_instance_normalization) {
  const std::string x = "{{{-300, 300, 1}, {256, 258, 258}}, {{1e-3, 2e-3, 0}, {2, 3, 700}}}";
  expect_as_in_f32("GroupNormalization", {{"num_groups", std::int64_t{1}}}, {x, "{1, 2}", "{1, 1}"}, 3);
  expect_as_in_f32("InstanceNormalization", {}, {x, "{1, 2}", "{1, 1}"}, 3);
}

TEST(SixteenBitGradient, of_batch_normalization) {
  const std::string x = "{{{-300, 300, 1}, {256, 258, 258}}, {{200, 2, 0}, {258, 256, 258}}}";
  for (const std::int64_t training : {0, 1})
    for (const std::size_t narrow : {1, 3, 5})
      expect_as_in_f32("BatchNormalization", {{"training_mode", training}, {"epsilon", 1e-6f}},
                       {x, "{1, 2}", "{1, 1}", "{250.1, 257.3}", "{60000, 1e-2}"}, narrow);
  const auto beyond = gradients("BatchNormalization", {},
                                {tensor_from_text("f16{{{300, -300}}}"), tensor_from_text("{1}"),
                                 tensor_from_text("{0}"), tensor_from_text("{0}"), tensor_from_text("{90000}")});
  EXPECT_TRUE(
      close(converted(beyond[0], DType::f32), tensor_from_text("{{{3.333333e-3, 1.666667e-3}}}"), rounded_once));
  EXPECT_TRUE(close(beyond[1], tensor_from_text("{0.5}")));  // 300 (1 - 1/2) / 300
}

// With mean 3 and variance 3.5: dMean/dx = 1 / 4, dInvStdDev/dx = -(x - 3) / (4 * 3.5^1.5).
TEST(LayerNormalizationGradient, goes_through_its_statistics) {
  const Attributes none{{"epsilon", 0.0f}};
  for (const DType t : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    const std::vector<Tensor> in{converted(tensor_from_text("{1, 2, 3, 6}"), t), converted(tensor_from_text("{2}"), t)};
    const auto dx = [&](std::size_t which) {
      return converted(gradients("LayerNormalization", none, in, 3, which)[0], DType::f32);
    };
    const Rounding rounding = t == DType::f32 || t == DType::f64 ? Rounding{} : rounded_once;
    EXPECT_TRUE(close(dx(1), tensor_from_text("{0.25, 0.25, 0.25, 0.25}"), rounding)) << t;
    EXPECT_TRUE(close(dx(2), tensor_from_text("{0.07636035, 0.03818018, 0, -0.11454053}"), rounding)) << t;
  }
  const auto rows = gradients("LayerNormalization", none, {tensor_from_text("f64{{1, 2, 3, 6}, {2, 4, 6, 12}}")}, 3, 1);
  EXPECT_EQ(to_text(rows[0]), "f64{{0.25, 0.25, 0.25, 0.25}, {0.125, 0.125, 0.125, 0.125}}");
}

// 70000 is infinite in f16.
TEST(SixteenBitGradient, of_means_and_extremes_of_many_elements) {
  const std::vector<std::int64_t> all{70000};
  for (const DType t : {DType::f16, DType::bf16}) {
    const Tensor x = Tensor::zeros(t, {1, 1, 70000});
    for (const auto& dx : {gradients("ReduceMean", {}, {x})[0], gradients("ReduceMax", {}, {x})[0],
                           gradients("AveragePool", {{"kernel_shape", all}}, {x})[0]}) {
      EXPECT_EQ(dx.dtype(), t);
      EXPECT_NEAR(doubles(dx).front(), 1 / 70000.0, 1e-7);
      EXPECT_NEAR(doubles(dx).back(), 1 / 70000.0, 1e-7);
    }
  }
}

TEST(GeluGradient, by_tanh_is_flat_far_out) {
  const Attributes by_tanh{{"approximate", std::string("tanh")}};
  for (const char* type : {"f16", "bf16", "f32", "f64"})  // times the seed 1, 1/2, 1/3, 1/4
    EXPECT_EQ(to_text(gradients("Gelu", by_tanh, {tensor_from_text(concat(type, "{300, 60000, -300, -60000}"))})[0]),
              concat(type, "{1, 0.5, 0, 0}"));
  for (const char* type : {"bf16", "f32", "f64"})
    EXPECT_EQ(to_text(gradients("Gelu", by_tanh, {tensor_from_text(concat(type, "{1e20, 1e38, -1e20, -1e38}"))})[0]),
              concat(type, "{1, 0.5, 0, 0}"));
  expect_as_in_f32("Gelu", by_tanh, {"{-20, -15, -5, -2, -0.5, 0, 0.25, 1, 3, 4, 15, 17}"}, 1);
}

// dY = Z log X.
TEST(PowGradient, of_an_exponent_of_another_type) {
  const auto d = gradients("Pow", {}, {tensor_from_text("{2, 3}"), tensor_from_text("f64{2, 3}")});
  EXPECT_TRUE(close(d[0], tensor_from_text("{4, 13.5}")));
  EXPECT_TRUE(close(d[1], tensor_from_text("f64{2.7725887, 14.831266}")));
}

TEST(GatherGrad, adds_sixteen_bit_floats_in_f32) {
  const std::int64_t n = 3000, width = 150;
  std::vector<double> values(static_cast<std::size_t>(n * width));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i * 7919 % 1013) / 100 - 3;
  std::vector<std::int64_t> at(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < at.size(); ++i) at[i] = i % 3 == 0 ? -7 : static_cast<std::int64_t>(i * i % 5);
  const Tensor indices = Tensor::vector<std::int64_t>(at), shape = Tensor::vector({7, width});
  const auto run = [&](const Tensor& dy, int threads) {
    const Tensor* in[] = {&dy, &indices, &shape};
    Tensor dx;
    with_threads(threads, [&] { dx = evaluate(builtin_registry().at("tessera::GatherGrad"), {}, in, 1)[0]; });
    return dx;
  };
  for (const DType t : {DType::f16, DType::bf16}) {
    const Tensor dy = converted(Tensor::of<double>({n, width}, values), t), one = run(dy, 1);
    EXPECT_TRUE(same_bits(one, converted(run(converted(dy, DType::f32), 1), t))) << t;
    EXPECT_TRUE(same_bits(one, run(dy, 8))) << t;
  }
}

}  // namespace
}  // namespace tessera
