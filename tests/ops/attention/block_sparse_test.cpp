// Block-sparse attention against its definition in f64 (dense attention under a mask).
#include "ops/attention/block_sparse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "tests/support/attention_case.h"
#include "tests/support/block_sparse_case.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

template <class T>
constexpr double rounding = std::is_same_v<T, float>    ? 3e-6
                            : std::is_same_v<T, double> ? 1e-12
                            : std::is_same_v<T, f16>    ? 1e-3
                                                        : 8e-3;

double strictness(const BlockSparseCase& c) { return c.amplitude >= 16 ? 30 : c.amplitude >= 4 ? 4 : 1; }

template <class T>
void expect_reference(const BlockSparseData& data) {
  const auto& s = data.reference.shape;
  BlockSparseOperands<T> x(data);
  x.forward();
  const double allowed = rounding<T> * strictness(data.c);
  EXPECT_LE(largest_error(x.plain(x.y, s.q_heads, s.q_len, s.v_dim), data.y), allowed) << data.c;
  EXPECT_LE(largest_error({x.lse.begin(), x.lse.end()}, data.lse), allowed) << data.c;
  x.backward();
  EXPECT_LE(largest_error(x.plain(x.dq, s.q_heads, s.q_len, s.qk_dim), data.reference.dq, 0.5), 4 * allowed) << data.c;
  EXPECT_LE(largest_error(x.plain(x.dk, s.kv_heads, s.kv_len, s.qk_dim), data.reference.dk, 0.5), 4 * allowed)
      << data.c;
  EXPECT_LE(largest_error(x.plain(x.dv, s.kv_heads, s.kv_len, s.v_dim), data.reference.dv), 4 * allowed) << data.c;
}

void expect_reference(const BlockSparseCase& c) {
  const BlockSparseData data(c);
  expect_reference<float>(data);
  expect_reference<double>(data);
  if (c.amplitude >= 4) return;  // scores of 100 are no numbers for 16 bits
  expect_reference<f16>(data);
  expect_reference<bf16>(data);
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
void expect_same_bits(const BlockSparseData& data) {
  BlockSparseOperands<T> one(data), many(data);
  with_threads(1, [&] { one.forward(), one.backward(); });
  for (const int threads : {2, 8, 20}) {
    with_threads(threads, [&] { many.forward(), many.backward(); });
    EXPECT_TRUE(same(one.y, many.y) && same(one.lse, many.lse)) << data.c;
    EXPECT_TRUE(same(one.dq, many.dq) && same(one.dk, many.dk) && same(one.dv, many.dv)) << data.c;
  }
}

TEST(BlockSparse, cubes_of_a_ragged_grid) {
  for (const bool rows_first : {false, true}) {
    for (const bool sources : {false, true}) {
      expect_reference({.batch = 2,
                        .q_heads = 4,
                        .kv_heads = 2,
                        .q_grid = {5, 6, 7},
                        .q_cube = {4, 4, 4},
                        .k_grid = {5, 6, 7},
                        .k_cube = {4, 4, 4},
                        .rows_first = rows_first,
                        .sources = sources});
    }
  }
}

// Tiles of 64 keys and their clipped neighbours, of 48, 36 and down to 18, out of the order of tokens.
TEST(BlockSparse, large_tiles_of_a_ragged_grid) {
  for (const std::int64_t qk_dim : {24, 19}) {
    for (const std::int64_t v_dim : {16, 5, 22}) {
      expect_reference({.q_heads = 4,
                        .kv_heads = 2,
                        .qk_dim = qk_dim,
                        .v_dim = v_dim,
                        .q_grid = {3, 5, 6},
                        .q_cube = {2, 4, 4},
                        .k_grid = {7, 10, 11},
                        .k_cube = {4, 4, 4},
                        .density = 0.7});
    }
  }
  expect_reference({.q_grid = {60}, .q_cube = {24}, .k_grid = {13, 41}, .k_cube = {13, 11}, .density = 1});  // 143 keys
}

TEST(BlockSparse, bf16_of_large_scores) {
  for (const double amplitude : {1.0, 4.0, 16.0}) {
    const BlockSparseData data({.q_heads = 2,
                                .qk_dim = 64,
                                .v_dim = 40,
                                .q_grid = {5, 6, 7},
                                .q_cube = {4, 4, 4},
                                .k_grid = {5, 6, 7},
                                .k_cube = {4, 4, 4},
                                .amplitude = amplitude});
    const auto& s = data.reference.shape;
    BlockSparseOperands<bf16> x(data);
    x.forward();
    EXPECT_LE(largest_error(x.plain(x.y, s.q_heads, s.q_len, s.v_dim), data.y), 1.0 / 128) << data.c;
    EXPECT_LE(largest_error({x.lse.begin(), x.lse.end()}, data.lse), 3e-6 * amplitude) << data.c;
  }
}

TEST(BlockSparse, head_sizes) {
  for (const std::int64_t d : {1, 5, 16, 31, 64, 100, 128}) {
    expect_reference(
        {.qk_dim = d, .v_dim = 24, .q_grid = {6, 9}, .q_cube = {3, 4}, .k_grid = {8, 9}, .k_cube = {4, 4}});
    expect_reference(
        {.qk_dim = 24, .v_dim = d, .q_grid = {6, 9}, .q_cube = {3, 4}, .k_grid = {8, 9}, .k_cube = {4, 4}});
  }
}

TEST(BlockSparse, tiles_of_any_size) {
  for (const std::int64_t n : {1, 3, 16, 31, 32, 33, 48, 64, 96, 97, 128, 150, 193, 500}) {
    expect_reference(
        {.q_heads = 2, .q_grid = {270}, .q_cube = {n}, .k_grid = {150}, .k_cube = {20}, .sources = n % 2 == 0});
    expect_reference({.q_heads = 2, .q_grid = {70}, .q_cube = {20}, .k_grid = {300}, .k_cube = {n}});
  }
}

// Several query heads share a key tile, whose task serves them all.
TEST(BlockSparse, many_queries_of_a_key_tile) {
  for (const bool sources : {false, true})
    expect_reference({.q_heads = 6,
                      .kv_heads = 2,
                      .q_grid = {700},
                      .q_cube = {40},
                      .k_grid = {6, 25},
                      .k_cube = {4, 10},
                      .density = 0.8,
                      .sources = sources});
}

TEST(BlockSparse, keys_that_nobody_names) {
  const BlockSparseData data(
      {.batch = 2, .q_heads = 2, .q_grid = {70}, .q_cube = {20}, .k_grid = {90}, .k_cube = {20}});
  BlockSparseOperands<float> x(data);
  x.forward();
  const BlockLists none{
      data.lists.query_tiles, data.lists.key_tiles, std::vector<std::int64_t>(data.lists.begin.size()), {}};
  auto problem = x.problem();
  problem.lists = &none;
  const auto& s = problem.shape;
  block_sparse_backward<float>(problem, x.in(x.y, s.q_heads, s.q_len, s.v_dim), x.lse.data(),
                               x.in(x.dy, s.q_heads, s.q_len, s.v_dim), nullptr, x.gradients());
  for (const auto* gradient : {&x.dq, &x.dk, &x.dv}) EXPECT_THAT(*gradient, testing::Each(0.0f));
}

// Backward works on as many queries as fit in its memory: here not on all of a kv head.
BlockSparseCase several_parts() {
  return {.q_heads = 2,
          .kv_heads = 1,
          .qk_dim = 5,
          .v_dim = 3,
          .q_grid = {2600},
          .q_cube = {50},
          .k_grid = {3000},
          .k_cube = {70},
          .density = 0.95,
          .sources = true};
}

TEST(BlockSparse, several_parts_of_queries) {
  const BlockSparseData data(several_parts());
  expect_reference<double>(data);
  expect_same_bits<double>(data);
}

TEST(BlockSparse, densities) {
  for (const double density : {0.0, 0.05, 0.5, 0.9, 1.0})
    expect_reference(
        {.q_heads = 2, .q_grid = {9, 20}, .q_cube = {4, 4}, .k_grid = {16, 20}, .k_cube = {4, 8}, .density = density});
}

TEST(BlockSparse, large_scores) {
  for (const double a : {1.0, 4.0, 16.0})
    expect_reference({.q_heads = 2,
                      .qk_dim = 64,
                      .v_dim = 64,
                      .q_grid = {4, 6, 7},
                      .q_cube = {4, 4, 4},
                      .k_grid = {4, 6, 7},
                      .k_cube = {4, 4, 4},
                      .amplitude = a,
                      .sources = true});
}

// An lse beyond 1024 is too coarse in f32 to recompute probabilities from.
TEST(BlockSparse, very_large_scores) {
  BlockSparseData data({.q_heads = 2, .q_grid = {70}, .q_cube = {20}, .k_grid = {90}, .k_cube = {20}, .amplitude = 32});
  EXPECT_GT(*std::max_element(data.lse.begin(), data.lse.end()), 2000);
  expect_reference<float>(data);
}

TEST(BlockSparse, all_tiles_are_dense_attention) {
  const BlockSparseData data({.q_heads = 2,
                              .kv_heads = 1,
                              .qk_dim = 64,
                              .v_dim = 64,
                              .q_grid = {4, 6, 7},
                              .q_cube = {4, 4, 4},
                              .k_grid = {4, 6, 7},
                              .k_cube = {4, 4, 4},
                              .density = 1,
                              .rows_first = true});
  BlockSparseOperands<float> x(data), dense(data);
  x.forward(), x.backward();
  const auto problem = dense.problem();
  const auto& s = problem.shape;
  const AttentionView<float> y = dense.view(dense.y.data(), s.q_heads, s.q_len, s.v_dim);
  attention_forward<float>(s, problem.q, problem.k, problem.v, {}, problem.scale, 0, y, dense.lse.data());
  attention_backward<float>(s, problem.q, problem.k, problem.v, {}, problem.scale, 0,
                            dense.in(dense.y, s.q_heads, s.q_len, s.v_dim), dense.lse.data(),
                            dense.in(dense.dy, s.q_heads, s.q_len, s.v_dim), dense.gradients(), dense.dlse.data());
  const auto difference = [](const std::vector<float>& a, const std::vector<float>& b) {
    return largest_error({a.begin(), a.end()}, {b.begin(), b.end()});
  };
  EXPECT_LE(difference(x.y, dense.y), 1e-5);
  EXPECT_LE(difference(x.lse, dense.lse), 1e-5);
  EXPECT_LE(difference(x.dq, dense.dq), 1e-5);
  EXPECT_LE(difference(x.dk, dense.dk), 1e-5);
  EXPECT_LE(difference(x.dv, dense.dv), 1e-5);
}

// d(sum(y dy) + sum(lse dlse)) along random directions, copies and zeros included.
TEST(BlockSparse, agrees_with_differences_of_forward) {
  const BlockSparseData data({.q_heads = 4,
                              .kv_heads = 2,
                              .qk_dim = 12,
                              .v_dim = 7,
                              .q_grid = {5, 9},
                              .q_cube = {2, 4},
                              .k_grid = {50},
                              .k_cube = {9},
                              .sources = true});
  BlockSparseOperands<double> x(data);
  const auto loss = [&] {
    x.forward();
    double sum = 0;
    for (std::size_t i = 0; i < x.y.size(); ++i) sum += x.y[i] * x.dy[i];
    for (std::size_t i = 0; i < x.lse.size(); ++i) sum += std::isinf(x.lse[i]) ? 0 : x.lse[i] * x.dlse[i];
    return sum;
  };
  loss();
  x.backward();
  std::mt19937 engine(3);
  std::normal_distribution<double> normal;
  const std::pair<std::vector<double>*, std::vector<double>> variables[] = {{&x.q, x.dq}, {&x.k, x.dk}, {&x.v, x.dv}};
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
    EXPECT_NEAR(difference, expected, 1e-7 * (1 + std::abs(expected)));
  }
}

TEST(BlockSparse, threads_change_no_bit) {
  for (const bool large : {false, true}) {
    const BlockSparseData data(
        {.batch = 2,
         .q_heads = 4,
         .kv_heads = 2,
         .q_grid = {5, 6, 7},
         .q_cube = {4, 4, 4},
         .k_grid = large ? std::vector<std::int64_t>{7, 10, 11} : std::vector<std::int64_t>{4200},
         .k_cube = large ? std::vector<std::int64_t>{4, 4, 4} : std::vector<std::int64_t>{20},
         .sources = true});
    expect_same_bits<float>(data);
    expect_same_bits<double>(data);
    expect_same_bits<f16>(data);
    expect_same_bits<bf16>(data);
  }
}

// Copies of 25 MB, of which threads of one cache make half at a time.
TEST(BlockSparse, threads_of_several_caches_change_no_bit) {
  expect_same_bits<float>(BlockSparseData({.q_heads = 12,
                                           .kv_heads = 12,
                                           .qk_dim = 128,
                                           .v_dim = 128,
                                           .q_grid = {16},
                                           .q_cube = {4},
                                           .k_grid = {32, 64},
                                           .k_cube = {8, 8},
                                           .density = 1}));
}

// Backward cuts the first head into parts; the others, which name one tile, it does together.
TEST(BlockSparse, threads_change_no_bit_of_heads_that_differ) {
  BlockSparseCase c = several_parts();
  c.q_heads = c.kv_heads = 5;
  c.density = 1;
  c.sources = false;
  BlockSparseData data(c);
  BlockLists& lists = data.lists;
  for (std::int64_t row = lists.query_tiles; row < std::ssize(lists.begin) - 1; ++row)
    lists.begin[row + 1] = lists.begin[row] + 1;
  lists.tile.resize(lists.begin[lists.query_tiles]);
  lists.tile.resize(lists.begin.back(), 3);
  expect_same_bits<double>(data);
}

TEST(BlockSparse, pairs) {
  const TokenTiles queries = token_tiles(std::vector<std::int64_t>{5}, std::vector<std::int64_t>{3}),
                   keys = token_tiles(std::vector<std::int64_t>{7}, std::vector<std::int64_t>{4});
  const AttentionShape shape{1, 2, 1, 5, 7, 1, 1};
  const BlockLists lists{2, 2, {0, 1, 3, 4, 4}, {1, 0, 1, 0}};
  EXPECT_THAT(pairs_computed(shape, queries, keys, lists, nullptr), testing::ElementsAre(3 * 3 + 2 * 7, 3 * 4));
  const std::int32_t source[] = {1, 1, -1, 3, 3, 0, 1, 2, 3, 4};
  EXPECT_THAT(pairs_computed(shape, queries, keys, lists, source), testing::ElementsAre(3 + 7, 3 * 4));
}

}  // namespace
}  // namespace tessera
