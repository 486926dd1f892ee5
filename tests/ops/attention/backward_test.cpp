// The backward attention kernel against the gradients of the definition in f64, and against central differences of
// the forward kernel.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/support/attention_case.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

template <class T>
constexpr double rounding = std::is_same_v<T, float>    ? 1.2e-5
                            : std::is_same_v<T, double> ? 4e-12
                            : std::is_same_v<T, f16>    ? 4e-3
                                                        : 3.2e-2;

double strictness(const AttentionCase& c) { return c.amplitude >= 16 ? 30 : c.amplitude >= 4 ? 4 : 1; }

template <class T>
void expect_reference(const AttentionData& data) {
  const auto& s = data.c.shape;
  AttentionOperands<T> x(data);
  x.forward();
  x.backward();
  const double allowed = rounding<T> * strictness(data.c);
  EXPECT_LE(largest_error(x.plain(x.dq, s.q_heads, s.q_len, s.qk_dim), data.reference.dq, 0.5), allowed) << data.c;
  EXPECT_LE(largest_error(x.plain(x.dk, s.kv_heads, s.kv_len, s.qk_dim), data.reference.dk, 0.5), allowed) << data.c;
  EXPECT_LE(largest_error(x.plain(x.dv, s.kv_heads, s.kv_len, s.v_dim), data.reference.dv), allowed) << data.c;
  // A bias that is the same for all keys of a query has gradient 0: a difference of large sums.
  const double least = data.c.bias == Over::batch_heads_queries ? 20 : 0.1;
  EXPECT_LE(largest_error({x.dbias.begin(), x.dbias.end()}, data.dbias(), least), allowed) << data.c;
}

void expect_reference(const AttentionCase& c) {
  const AttentionData data(c, true);
  expect_reference<float>(data);
  expect_reference<double>(data);
  if (c.amplitude >= 4) return;
  expect_reference<f16>(data);
  expect_reference<bf16>(data);
}

TEST(AttentionBackward, head_sizes) {
  for (const std::int64_t d : {1, 5, 16, 64, 80, 128, 192, 256}) {
    expect_reference({.shape = {1, 1, 1, 17, 33, d, d}});
    expect_reference({.shape = {1, 2, 2, 10, 19, d, 24}, .rows_first = true});
    expect_reference({.shape = {1, 2, 2, 10, 19, 24, d}, .rows_first = true});
  }
}

TEST(AttentionBackward, large_scores) {
  for (const double a : {1.0, 4.0, 16.0}) expect_reference({.shape = {1, 2, 2, 50, 70, 64, 64}, .amplitude = a});
}

TEST(AttentionBackward, lengths_that_fill_no_tile) {
  for (const std::int64_t n : {1, 2, 15, 16, 17, 49, 96, 97, 128, 129}) {
    expect_reference({.shape = {1, 1, 1, n, 33, 16, 16}});
    expect_reference({.shape = {1, 1, 1, 33, n, 16, 20}, .rows_first = true});
    expect_reference({.shape = {1, 1, 1, n, n, 8, 8}, .causal = true});
  }
}

TEST(AttentionBackward, grouped_queries) {
  for (const bool rows_first : {false, true}) {
    expect_reference({.shape = {2, 8, 2, 50, 70, 16, 16}, .rows_first = rows_first});
    expect_reference({.shape = {2, 8, 2, 5, 140, 16, 16}, .rows_first = rows_first, .causal = true, .offset = 135});
  }
}

TEST(AttentionBackward, causal_offsets_and_lengths) {
  for (const std::int64_t offset : {-200, -5, 3, 100, 1000})
    expect_reference({.shape = {2, 2, 1, 100, 130, 8, 8}, .causal = true, .offset = offset});
  expect_reference({.shape = {3, 2, 2, 30, 140, 16, 16}, .lengths = true});
  expect_reference({.shape = {3, 2, 2, 30, 140, 16, 16}, .causal = true, .offset = 90, .lengths = true});
}

TEST(AttentionBackward, biases) {
  for (const Over over : {Over::everything, Over::queries_keys, Over::batch_keys, Over::heads_queries_keys,
                          Over::batch_heads_queries, Over::transposed}) {
    expect_reference({.shape = {2, 4, 2, 50, 140, 8, 8}, .bias = over});
    expect_reference({.shape = {2, 4, 2, 9, 140, 8, 8}, .bias = over, .causal = true, .offset = 130});
    if (over == Over::batch_heads_queries) continue;
    expect_reference({.shape = {2, 2, 2, 20, 70, 8, 8}, .bias = over, .bias_values = BiasValues::hiding});
  }
}

TEST(AttentionBackward, keep_masks) {
  for (const Over over : {Over::everything, Over::queries_keys, Over::batch_keys, Over::transposed}) {
    expect_reference({.shape = {2, 4, 2, 30, 140, 8, 8}, .keep = over});
    expect_reference({.shape = {2, 4, 2, 9, 140, 8, 8}, .keep = over, .keep_values = KeepValues::middle});
  }
  expect_reference({.shape = {1, 1, 1, 30, 70, 8, 8}, .keep = Over::everything, .keep_values = KeepValues::none});
}

TEST(AttentionBackward, softcap) {
  for (const double cap : {0.5, 5.0, 50.0}) {
    expect_reference({.shape = {1, 2, 2, 50, 140, 40, 16}, .amplitude = 2, .softcap = cap});
    expect_reference({.shape = {2, 2, 2, 50, 70, 40, 16},
                      .amplitude = 2,
                      .bias = Over::heads_queries_keys,
                      .keep = Over::heads_queries_keys,
                      .causal = true,
                      .offset = 50,
                      .softcap = cap});
  }
}

// Sizes that are cut into ranges of keys and of queries: as many of both, and more of one.
TEST(AttentionBackward, ranges_of_keys_and_queries) {
  for (const auto& [queries, keys] : {std::pair{300, 700}, {700, 300}, {500, 500}}) {
    for (const bool rows_first : {false, true})
      expect_reference({.shape = {1, 4, 2, queries, keys, 8, 12}, .rows_first = rows_first});
    expect_reference({.shape = {2, 2, 1, queries, keys, 8, 8}, .causal = true, .offset = keys - queries});
    expect_reference({.shape = {2, 2, 2, queries, keys, 8, 8}, .lengths = true});
    for (const Over over : {Over::queries_keys, Over::batch_keys, Over::batch_heads_queries})
      expect_reference({.shape = {1, 2, 1, queries, keys, 8, 8}, .bias = over});
    expect_reference({.shape = {1, 2, 2, queries, keys, 64, 8}, .amplitude = 16});
  }
  expect_reference({.shape = {1, 8, 1, 40, 700, 8, 8}, .causal = true, .offset = 660});  // query heads in one set
}

TEST(AttentionBackward, very_negative_biases) {
  for (const auto values : {BiasValues::giant, BiasValues::all_giant, BiasValues::all_lowest}) {
    const AttentionCase c{
        .shape = {1, 2, 1, 50, 140, 16, 16}, .bias = Over::everything, .bias_values = values, .f32_scores = true};
    expect_reference<float>(AttentionData(c, true));
  }
}

TEST(AttentionBackward, empty_sizes) {
  for (const AttentionShape s :
       {AttentionShape{0, 2, 2, 5, 5, 4, 4}, AttentionShape{1, 2, 2, 0, 5, 4, 4}, AttentionShape{2, 2, 2, 5, 0, 4, 4},
        AttentionShape{1, 2, 2, 5, 7, 0, 4}, AttentionShape{1, 2, 2, 5, 7, 4, 0}})
    expect_reference({.shape = s});
}

// d(sum(y dy) + sum(lse dlse)) along random directions.
TEST(AttentionBackward, agrees_with_differences_of_forward) {
  std::mt19937 engine(3);
  std::normal_distribution<double> normal;
  for (const double cap : {0.0, 2.0}) {
    AttentionData data({.shape = {2, 4, 2, 20, 31, 12, 7},
                        .bias = Over::heads_queries_keys,
                        .causal = true,
                        .offset = 5,
                        .softcap = cap},
                       true);
    AttentionOperands<double> x(data);
    const auto loss = [&] {
      x.forward();
      double sum = 0;
      for (std::size_t i = 0; i < x.y.size(); ++i) sum += x.y[i] * x.dy[i];
      for (std::size_t i = 0; i < x.lse.size(); ++i) sum += x.lse[i] * x.dlse[i];
      return sum;
    };
    loss();
    x.backward();
    const std::pair<std::vector<double>*, std::vector<double>> variables[] = {
        {&x.q, x.dq}, {&x.k, x.dk}, {&x.v, x.dv}, {&x.bias, x.dbias}};
    for (const auto& [variable, gradient] : variables) {
      const std::vector<double> at = *variable;
      std::vector<double> direction(at.size());
      for (double& e : direction) e = normal(engine);
      const auto loss_at = [&, variable = variable](double h) {
        for (std::size_t i = 0; i < at.size(); ++i) (*variable)[i] = at[i] + h * direction[i];
        return loss();
      };
      const double h = 1e-5, difference = (loss_at(h) - loss_at(-h)) / (2 * h);
      *variable = at;
      double expected = 0;
      for (std::size_t i = 0; i < at.size(); ++i) expected += gradient[i] * direction[i];
      EXPECT_NEAR(difference, expected, 1e-7 * (1 + std::abs(expected))) << cap;
    }
  }
}

template <class T>
void expect_same_bits(const AttentionData& data) {
  AttentionOperands<T> one(data), many(data);
  one.forward(), many.forward();
  with_threads(1, [&] { one.backward(); });
  const auto same = [](const auto& a, const auto& b) {
    return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
  };
  for (const int threads : {2, 8}) {
    with_threads(threads, [&] { many.backward(); });
    EXPECT_TRUE(same(one.dq, many.dq) && same(one.dk, many.dk) && same(one.dv, many.dv)) << data.c;
    EXPECT_TRUE(same(one.dbias, many.dbias)) << data.c;
  }
}

TEST(AttentionBackward, threads_change_no_bit) {
  for (const AttentionCase& c :
       {AttentionCase{.shape = {2, 4, 2, 110, 140, 24, 24}, .bias = Over::queries_keys, .causal = true, .offset = 20},
        AttentionCase{.shape = {1, 2, 1, 500, 700, 16, 16}, .rows_first = true}}) {
    const AttentionData data(c, true);
    expect_same_bits<float>(data);
    expect_same_bits<double>(data);
    expect_same_bits<f16>(data);
    expect_same_bits<bf16>(data);
  }
}

}  // namespace
}  // namespace tessera
