// Dense attention of bf16 against its definition in f64. Where the CPU multiplies bf16 this is the kernel of pairs,
// elsewhere the one that widens; the bounds hold for both: 2^-8 for rounding the result, as much for the probabilities.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ops/attention/bf16_kernels.h"
#include "tests/support/attention_case.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

constexpr double rounding = 1.0 / 128;  // of results; lse is not rounded

void expect_reference(const AttentionCase& c) {
  const AttentionData data(c);
  const auto& s = c.shape;
  AttentionOperands<bf16> x(data), again(data);
  with_threads(1, [&] { x.forward(); });
  with_threads(8, [&] { again.forward(); });
  EXPECT_EQ(std::memcmp(x.y.data(), again.y.data(), x.y.size() * sizeof(bf16)), 0) << c;
  EXPECT_EQ(x.lse, again.lse) << c;
  EXPECT_LE(largest_error(x.plain(x.y, s.q_heads, s.q_len, s.v_dim), data.reference.y), rounding) << c;
  EXPECT_LE(largest_error({x.lse.begin(), x.lse.end()}, data.reference.lse), 3e-6 * c.amplitude) << c;
}

// One case at scores of about 1, 16 and 256.
void expect_reference_at_scales(AttentionCase c) {
  for (const double amplitude : {1.0, 4.0, 16.0}) {
    c.amplitude = amplitude;
    expect_reference(c);
  }
}

TEST(Bf16Attention, head_sizes_odd_and_even) {
  for (const std::int64_t d : {1, 2, 7, 31, 32, 33, 64, 100, 128, 256}) {
    expect_reference_at_scales({.shape = {1, 1, 1, 35, 67, d, d}});
    expect_reference({.shape = {1, 2, 2, 17, 30, d, 24}, .rows_first = true});
    expect_reference({.shape = {1, 2, 2, 17, 30, 24, d}, .rows_first = true});
  }
}

TEST(Bf16Attention, lengths_that_fill_no_tile) {
  for (const std::int64_t n : {1, 2, 15, 16, 17, 47, 49, 95, 97, 127, 128, 129, 193}) {
    expect_reference_at_scales({.shape = {1, 1, 1, n, 33, 16, 16}});
    expect_reference_at_scales({.shape = {1, 1, 1, 33, n, 16, 20}, .rows_first = true});
    expect_reference_at_scales({.shape = {1, 1, 1, n, n, 8, 8}, .causal = true});
  }
}

TEST(Bf16Attention, masks) {
  for (const Over over : {Over::everything, Over::batch_keys, Over::transposed}) {
    expect_reference_at_scales({.shape = {2, 4, 2, 60, 141, 8, 8}, .bias = over, .bias_values = BiasValues::hiding});
    expect_reference_at_scales({.shape = {2, 4, 2, 60, 141, 8, 8}, .keep = over, .keep_values = KeepValues::runs});
    expect_reference_at_scales({.shape = {2, 4, 4, 60, 140, 8, 8},
                                .rows_first = true,
                                .bias = Over::everything,
                                .keep = over,
                                .causal = true,
                                .offset = 40,
                                .lengths = true});
  }
  for (const std::int64_t offset : {-200, -5, 3, 1000})
    expect_reference_at_scales({.shape = {2, 2, 1, 110, 170, 8, 8}, .causal = true, .offset = offset});
  expect_reference({.shape = {2, 2, 2, 60, 141, 40, 16}, .amplitude = 2, .softcap = 5});
}

TEST(Bf16Attention, grouped_queries_and_decoding) {
  expect_reference_at_scales({.shape = {2, 8, 2, 50, 71, 16, 16}});
  expect_reference_at_scales({.shape = {2, 8, 2, 5, 141, 16, 16}, .rows_first = true, .causal = true, .offset = 136});
  expect_reference_at_scales({.shape = {1, 8, 2, 1, 2050, 16, 16}, .rows_first = true, .causal = true, .offset = 2049});
  expect_reference_at_scales({.shape = {1, 2, 1, 40, 1500, 32, 32}, .lengths = true});
}

TEST(Bf16Attention, many_queries) {
  expect_reference_at_scales({.shape = {2, 8, 4, 1500, 35, 8, 8}, .rows_first = true});
  expect_reference({.shape = {1, 12, 3, 1700, 151, 5, 4}, .causal = true, .offset = -1600});
}

TEST(Bf16Attention, nan_stays_in_the_rows_and_columns_it_reaches) {
  const AttentionData data({.shape = {1, 1, 1, 60, 200, 16, 16}});
  const auto spread = [&](auto poison) {
    AttentionOperands<bf16> x(data);
    poison(x);
    x.forward();
    return x;
  };
  const bf16 nan(std::numeric_limits<float>::quiet_NaN());
  const auto of_q = spread([&](auto& x) { x.q[5 * 16 + 3] = nan; });
  const auto of_k = spread([&](auto& x) { x.k[5 * 16 + 3] = nan; });
  const auto of_v = spread([&](auto& x) { x.v[5 * 16 + 3] = nan; });
  for (std::size_t i = 0; i < 60 * 16; ++i) {
    EXPECT_EQ(std::isnan(float(of_q.y[i])), i / 16 == 5) << i;
    EXPECT_TRUE(std::isnan(float(of_k.y[i]))) << i;
    EXPECT_EQ(std::isnan(float(of_v.y[i])), i % 16 == 3) << i;
  }
}

// Probabilities of a sparse row that are exact in bf16 give exact results: nothing else is rounded on the way.
TEST(Bf16Attention, sums_are_f32) {
  AttentionData data({.shape = {1, 1, 1, 32, 256, 16, 16}});
  AttentionOperands<bf16> x(data);
  std::fill(x.q.begin(), x.q.end(), bf16(0.0f));
  for (std::size_t j = 0; j < 256; ++j)
    std::fill_n(x.v.begin() + static_cast<std::ptrdiff_t>(j) * 16, 16, bf16(j % 2 == 0 ? 129.0f : -127.0f));
  x.forward();
  for (const bf16 y : x.y) EXPECT_EQ(float(y), 1.0f);
  for (const float lse : x.lse) EXPECT_FLOAT_EQ(lse, std::log(256.0f));
}

// The products themselves, to the last bits of f32: operands are not rounded again.
TEST(Bf16Attention, scores_are_exact_products) {
  if (!simd::multiplies_pairs()) GTEST_SKIP() << "this CPU does not multiply bf16";
  constexpr int lanes = attention::kBlockLanes<float>, keys = 13, dim = 30;
  std::mt19937 engine(3);
  std::uniform_int_distribution<int> whole(-64, 64);
  std::vector<bf16> k(keys * dim), q(lanes * dim), panel(lanes * dim);
  for (auto* x : {&k, &q})
    for (bf16& e : *x) e = bf16(static_cast<float>(whole(engine)));
  const bf16* rows[lanes];
  for (int i = 0; i < lanes; ++i) rows[i] = q.data() + i * dim;
  attention::pack_query_pairs(rows, dim, attention::kBlockVectors, panel.data());
  std::vector<float> s(keys * lanes);
  attention::pair_scores({k.data(), dim}, keys, panel.data(), attention::kBlockVectors, dim, 0.5f, {s.data(), lanes},
                         0);
  for (int j = 0; j < keys; ++j)
    for (int i = 0; i < lanes; ++i) {
      float sum = 0;
      for (int c = 0; c < dim; ++c) sum += float(k[j * dim + c]) * float(q[i * dim + c]);
      EXPECT_EQ(s[j * lanes + i], sum * 0.5f) << j << " " << i;
    }
}

TEST(Bf16Attention, rounds_probabilities_to_nearest) {
  using simd::kLanes;
  std::mt19937 engine(4);
  std::uniform_real_distribution<float> uniform(0, 1);
  for (int turn = 0; turn < 1000; ++turn) {
    simd::Vec<float> a{}, b{};
    for (int i = 0; i < kLanes<float>; ++i) a[i] = uniform(engine), b[i] = uniform(engine);
    a[0] = std::numeric_limits<float>::quiet_NaN(), b[1] = -a[0];
    bf16 pairs[2 * kLanes<float>];
    simd::store_pairs(pairs, simd::rounded_pairs(a, b));
    for (int i = 0; i < kLanes<float>; ++i) {
      const float first = float(pairs[2 * i]), second = float(pairs[2 * i + 1]);
      EXPECT_TRUE(i == 0 ? std::isnan(first) : std::abs(first - a[i]) <= a[i] / 256) << a[i];
      EXPECT_TRUE(i == 1 ? std::isnan(second) : std::abs(second - b[i]) <= b[i] / 256) << b[i];
    }
  }
}

}  // namespace
}  // namespace tessera
