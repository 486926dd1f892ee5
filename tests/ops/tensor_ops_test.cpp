// What the examples of the tensor operators do not say: refusals, extreme requests, NaN.
#include <gmock/gmock.h>

#include <limits>

#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "runtime/tensor/text.h"
#include "tests/support/compare.h"

namespace tessera {
namespace {

std::vector<Tensor> run(std::string_view op, std::initializer_list<const char*> inputs,
                        const Attributes& attributes = {}, int outputs = 1) {
  std::vector<Tensor> tensors;
  for (const char* text : inputs) tensors.push_back(*text == '_' ? Tensor() : tensor_from_text(text));
  std::vector<const Tensor*> in;
  for (const auto& t : tensors) in.push_back(t ? &t : nullptr);
  return evaluate(builtin_registry().at(op), attributes, in, outputs);
}

std::string refusal(std::string_view op, std::initializer_list<const char*> inputs, const Attributes& attributes = {},
                    int outputs = 1) {
  try {
    run(op, inputs, attributes, outputs);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

using testing::HasSubstr;

TEST(TensorOps, refuse_sizes_that_no_memory_holds) {
  EXPECT_THAT(refusal("Range", {"i64 0", "i64 1000000000000000000", "i64 1"}), HasSubstr("too many"));
  EXPECT_THAT(refusal("Range", {"0", "inf", "1"}), HasSubstr("too many"));
  EXPECT_THAT(refusal("Range", {"0", "1", "nan"}), HasSubstr("no number"));
  EXPECT_THAT(refusal("Expand", {"1", "i64{4611686018427387904, 4611686018427387904}"}), HasSubstr("too many"));
  EXPECT_THAT(refusal("ConstantOfShape", {"i64{-1}"}), HasSubstr("negative"));
  EXPECT_THAT(refusal("Tile", {"{1, 2}", "i64{4611686018427387904}"}), HasSubstr("too many"));
  EXPECT_THAT(refusal("Pad", {"{1}", "i64{9223372036854775807, 9223372036854775807}"}), HasSubstr("too large"));
  EXPECT_THAT(refusal("Resize", {"{1, 2}", "_", "{1e30}"}), HasSubstr("scales has an entry"));
}

TEST(TensorOps, range_reaches_the_ends_of_its_type) {
  const auto range = [](std::int64_t start, std::int64_t limit, std::int64_t delta) {
    const Tensor in[] = {Tensor::scalar(start), Tensor::scalar(limit), Tensor::scalar(delta)};
    const Tensor* pointers[] = {&in[0], &in[1], &in[2]};
    return evaluate(builtin_registry().at("Range"), {}, pointers, 1)[0];
  };
  constexpr std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                         high = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(same_bits(range(high - 7, high, 5), Tensor::vector({high - 7, high - 2})));
  EXPECT_TRUE(same_bits(range(high, low, low), Tensor::vector({high, -1})));
  EXPECT_TRUE(same_bits(range(low, high, high), Tensor::vector({low, -1, high - 1})));
}

TEST(TensorOps, lists_of_integers_are_checked) {
  EXPECT_THAT(refusal("Reshape", {"{1, 2}", "i64{{2, 1}}"}), HasSubstr("expected a list of integers, got shape [1x2]"));
  EXPECT_THAT(refusal("Transpose", {"{{1, 2}}"}, {{"perm", std::vector<std::int64_t>{-1, 0}}}), HasSubstr("perm"));
}

TEST(TensorOps, indices_are_checked) {
  EXPECT_THAT(refusal("Gather", {"{1, 2}", "i64{2, 0}"}), HasSubstr("index 2 is outside [-2, 1]"));
  EXPECT_THAT(refusal("GatherElements", {"{1, 2}", "i64{-3}"}), HasSubstr("index -3 is outside [-2, 1]"));
  EXPECT_THAT(refusal("GatherND", {"{1, 2}", "i64{{9}}"}), HasSubstr("index 9"));
  EXPECT_THAT(refusal("ScatterND", {"{1, 2}", "i64{{9}}", "{1}"}), HasSubstr("index 9"));
  EXPECT_THAT(refusal("ScatterElements", {"{1, 2}", "i64{9}", "{1}"}), HasSubstr("index 9"));
  EXPECT_THAT(refusal("TensorScatter", {"{{1, 2}}", "{{3}}", "i64{9223372036854775807}"}, {{"axis", std::int64_t{1}}}),
              HasSubstr("write_indices[0] = 9223372036854775807: 1 places from there are outside"));
}

TEST(TensorOps, slice_clamps_extreme_bounds_and_steps) {
  const char *low = "i64{-9223372036854775807}", *high = "i64{9223372036854775807}";
  EXPECT_EQ(to_text(run("Slice", {"{1, 2, 3}", low, high, "i64{0}", high})[0]), "f32{1}");
  EXPECT_EQ(to_text(run("Slice", {"{1, 2, 3}", high, low, "i64{0}", low})[0]), "f32{3}");
  EXPECT_EQ(to_text(run("Slice", {"{1, 2, 3}", high, low, "i64{0}", "i64{-1}"})[0]), "f32{3, 2, 1}");
  EXPECT_THAT(refusal("Slice", {"{1}", "i64{0}", "i64{1}", "i64{0}", "i64{0}"}), HasSubstr("step of 0"));
}

TEST(TensorOps, split_makes_unequal_parts_only_where_num_outputs_says_so) {
  EXPECT_THAT(refusal("Split", {"{1, 2, 3}"}, {}, 2), HasSubstr("size 3 of the axis does not make 2 equal parts"));
  EXPECT_EQ(to_text(run("Split", {"{1, 2, 3, 4}"}, {}, 2)[1]), "f32{3, 4}");
  const Attributes four = {{"num_outputs", std::int64_t{4}}};
  EXPECT_THAT(refusal("Split", {"{1, 2, 3, 4, 5}"}, four, 4), HasSubstr("size 5 of the axis does not make 4 parts"));
  EXPECT_EQ(to_text(run("Split", {"{1, 2, 3, 4, 5, 6}"}, four, 4)[3]), "f32[0]{}");
}

TEST(TensorOps, cast_never_leaves_the_range_of_integers) {
  const Attributes to_i64 = {{"to", std::int64_t{7}}}, to_u8 = {{"to", std::int64_t{2}}},
                   to_f16 = {{"to", std::int64_t{10}}};
  constexpr std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                         high = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(same_bits(run("Cast", {"{inf, -inf, nan, 1e30}"}, to_i64)[0], Tensor::vector({high, low, 0, high})));
  EXPECT_EQ(to_text(run("Cast", {"{-1, 255.9, 300}"}, to_u8)[0]), "u8{0, 255, 255}");
  // Just above half way between two f16; by way of f32 it would be a tie, and round down to even.
  EXPECT_EQ(doubles(run("Cast", {"f64{1.0004882812501}"}, to_f16)[0])[0], 1.0009765625);
}

TEST(TensorOps, top_k_takes_nan_for_the_largest) {
  EXPECT_EQ(to_text(run("TopK", {"{1, nan, 2}", "i64{2}"}, {}, 2)[1]), "i64{1, 2}");
  EXPECT_EQ(to_text(run("TopK", {"{1, nan, 2}", "i64{3}"}, {{"largest", std::int64_t{0}}}, 2)[1]), "i64{0, 2, 1}");
}

TEST(TensorOps, constant_refuses_strings) {
  EXPECT_THAT(refusal("Constant", {}, {{"value_string", std::string("x")}}), HasSubstr("strings are not supported"));
}

}  // namespace
}  // namespace tessera
