// Gradients of the operator Attention against central differences in f64: of Y, of the cache it returns and of lse,
// with respect to everything a float can stand in.
#include <gmock/gmock.h>

#include <cmath>

#include "tests/support/central_difference.h"
#include "tests/support/made_up.h"

namespace tessera {
namespace {

Tensor numbers(const Shape& shape, unsigned seed) { return made_up(DType::f64, shape, seed); }

Tensor booleans(const Shape& shape) {
  std::vector<double> v(static_cast<std::size_t>(count(shape)));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = i * 5 % 7 < 4;
  return converted(Tensor::of<double>(shape, v), DType::boolean);
}

struct Sizes {
  Shape q, k, v;
};
const Sizes four_d{{2, 4, 3, 3}, {2, 2, 4, 3}, {2, 2, 4, 2}};
const Sizes three_d{{2, 3, 12}, {2, 4, 6}, {2, 4, 4}};

std::vector<std::string> errors(const Sizes& s, Attributes attributes, const Tensor& mask = {}, std::int64_t past = 0,
                                const Tensor& nonpad = {}) {
  if (s.q.rank() == 3) attributes["q_num_heads"] = std::int64_t{4}, attributes["kv_num_heads"] = std::int64_t{2};
  std::vector<Tensor> in{numbers(s.q, 1), numbers(s.k, 2), numbers(s.v, 3), mask, {}, {}, nonpad};
  if (past > 0) in[4] = numbers({2, 2, past, 3}, 4), in[5] = numbers({2, 2, past, 2}, 5);
  return gradient_errors(builtin_registry().at("Attention"), attributes, in, {true, true, true, false, true},
                         {.most = 16});
}

const Attributes causal{{"is_causal", std::int64_t{1}}};

TEST(AttentionGradient, of_operands_in_both_layouts) {
  for (const auto& s : {four_d, three_d}) {
    EXPECT_THAT(errors(s, {}), testing::IsEmpty());
    EXPECT_THAT(errors(s, causal), testing::IsEmpty());
    EXPECT_THAT(errors(s, {{"scale", 0.3f}, {"softcap", 0.8f}}), testing::IsEmpty());
  }
}

TEST(AttentionGradient, of_masks_sums_over_broadcast_axes) {
  for (const Shape& shape : {Shape{3, 4}, Shape{1, 4}, Shape{4, 3, 4}, Shape{4, 1, 4}, Shape{2, 4, 3, 4},
                             Shape{2, 1, 1, 4}, Shape{1, 1, 3, 4}, Shape{3, 2}}) {
    SCOPED_TRACE(concat(shape));
    EXPECT_THAT(errors(four_d, {}, numbers(shape, 6)), testing::IsEmpty());
    EXPECT_THAT(errors(three_d, {{"softcap", 2.0f}}, numbers(shape, 6)), testing::IsEmpty());
  }
}

TEST(AttentionGradient, with_hidden_keys) {
  EXPECT_THAT(errors(four_d, {}, booleans({2, 4, 3, 4})), testing::IsEmpty());
  EXPECT_THAT(errors(three_d, causal, booleans({3, 4})), testing::IsEmpty());
  EXPECT_THAT(errors(four_d, {}, booleans({3, 2})), testing::IsEmpty());
  EXPECT_THAT(errors(four_d, {}, {}, 0, Tensor::vector({4, 2})), testing::IsEmpty());
  EXPECT_THAT(errors(four_d, causal, {}, 0, Tensor::vector({4, 3})), testing::IsEmpty());
}

TEST(AttentionGradient, through_a_cache) {
  for (const auto& s : {four_d, three_d}) {
    EXPECT_THAT(errors(s, {}, {}, 3), testing::IsEmpty());
    EXPECT_THAT(errors(s, causal, {}, 3), testing::IsEmpty());
    EXPECT_THAT(errors(s, causal, numbers({3, 7}, 6), 3), testing::IsEmpty());
  }
}

TEST(AttentionGradient, of_the_scores_is_refused) {
  const std::vector<Tensor> in{numbers(four_d.q, 1), numbers(four_d.k, 2), numbers(four_d.v, 3)};
  try {
    gradient_errors(builtin_registry().at("Attention"), {}, in, {true, false, false, true});
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::unsupported);
    EXPECT_THAT(e.what(), testing::HasSubstr("the gradient of qk_matmul_output is not written"));
  }
}

}  // namespace
}  // namespace tessera
