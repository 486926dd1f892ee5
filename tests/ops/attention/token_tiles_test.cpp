// Partitions of token grids, and means over their tiles.
#include "ops/attention/token_tiles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "ops/attention/pooling.h"
#include "runtime/base/error.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using Sizes = std::vector<std::int64_t>;

TEST(TokenTiles, a_clipped_sequence) {
  const TokenTiles tiles = token_tiles(Sizes{7}, Sizes{3});
  EXPECT_THAT(tiles.counts, ElementsAre(3));
  EXPECT_THAT(tiles.first, ElementsAre(0, 3, 6, 7));
  EXPECT_THAT(tiles.order, ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_THAT(tiles.extents(2), ElementsAre(1));
}

TEST(TokenTiles, a_clipped_plane) {
  const TokenTiles tiles = token_tiles(Sizes{3, 5}, Sizes{2, 4});
  EXPECT_THAT(tiles.counts, ElementsAre(2, 2));
  EXPECT_THAT(tiles.order, ElementsAre(0, 1, 2, 3, 5, 6, 7, 8, 4, 9, 10, 11, 12, 13, 14));
  EXPECT_THAT(tiles.first, ElementsAre(0, 8, 10, 14, 15));
  EXPECT_THAT(tiles.extents(1), ElementsAre(2, 1));
  EXPECT_THAT(tiles.tokens_of(1), ElementsAre(4, 9));
}

// Tile and place inside it from the coordinates of every token, as the definition says.
TEST(TokenTiles, every_token_has_its_place) {
  for (const auto& [grid, cube] : std::vector<std::pair<Sizes, Sizes>>{{{5, 6, 7}, {2, 3, 4}},
                                                                       {{8, 4, 4}, {4, 4, 4}},
                                                                       {{3, 2, 5, 3}, {2, 2, 2, 2}},
                                                                       {{1, 9, 1}, {4, 4, 4}},
                                                                       {{5}, {100}}}) {
    const TokenTiles tiles = token_tiles(grid, cube);
    ASSERT_EQ(tiles.tokens(), std::accumulate(grid.begin(), grid.end(), std::int64_t{1}, std::multiplies<>()));
    std::vector<int> next(static_cast<std::size_t>(tiles.tiles()));
    for (std::int64_t token = 0; token < tiles.tokens(); ++token) {
      std::int64_t rest = token, tile = 0, stride = 1, inside = 0, inner = 1;
      for (std::size_t axis = grid.size(); axis-- > 0; rest /= grid[axis]) {
        const std::int64_t x = rest % grid[axis], index = x / cube[axis];
        tile += index * stride, stride *= tiles.counts[axis];
        inside += x % cube[axis] * inner, inner *= std::min(cube[axis], grid[axis] - index * cube[axis]);
      }
      EXPECT_EQ(tiles.order[tiles.first[tile] + inside], token);
      EXPECT_EQ(tiles.size(tile), inner);
    }
  }
}

TEST(TokenTiles, bad_sizes) {
  const auto bad = [](const Sizes& grid, const Sizes& cube) {
    try {
      token_tiles(grid, cube);
    } catch (const Error& e) {
      return e.code() == Code::bad_input;
    }
    return false;
  };
  EXPECT_TRUE(bad({}, {}));
  EXPECT_TRUE(bad({4, 4}, {4}));
  EXPECT_TRUE(bad({2, 2, 2, 2, 2}, {1, 1, 1, 1, 1}));
  EXPECT_TRUE(bad({4, 0}, {1, 1}));
  EXPECT_TRUE(bad({4, -3}, {1, 1}));
  EXPECT_TRUE(bad({4}, {0}));
  EXPECT_TRUE(bad({1 << 20, 1 << 20}, {4, 4}));
  EXPECT_TRUE(bad({std::int64_t{1} << 62, 4}, {4, 4}));
}

constexpr std::int64_t batch = 2, heads = 3, dim = 19, tokens = 15;

template <class T>
std::vector<T> some_numbers(std::int64_t n) {
  std::vector<T> x;
  for (std::int64_t i = 0; i < n; ++i) x.push_back(static_cast<T>(static_cast<float>((i * 37 % 101 - 50) / 16.0)));
  return x;
}

template <class T, class C>
void expect_means(bool rows_first) {
  const TokenTiles tiles = token_tiles(Sizes{3, 5}, Sizes{2, 4});
  const auto x = some_numbers<T>(batch * heads * tokens * dim);
  const AttentionView<const T> view{x.data(), heads * tokens * dim, rows_first ? dim : tokens * dim,
                                    rows_first ? heads * dim : dim};
  std::vector<C> means(static_cast<std::size_t>(batch * heads * tiles.tiles() * dim), C(99));
  pool_tiles(view, batch, heads, dim, tiles, means.data());
  for (std::int64_t i = 0; i < batch * heads * tiles.tiles() * dim; ++i) {
    const std::int64_t c = i % dim, tile = i / dim % tiles.tiles(), head = i / dim / tiles.tiles();
    double sum = 0;
    for (const auto token : tiles.tokens_of(tile))
      sum += static_cast<double>(static_cast<Compute<T>>(view.row(head / heads, head % heads, token)[c]));
    EXPECT_NEAR(static_cast<double>(means[i]), sum / tiles.size(tile), 1e-6);
  }
}

TEST(Pooling, means) {
  for (const bool rows_first : {false, true}) {
    expect_means<float, float>(rows_first);
    expect_means<double, double>(rows_first);
    expect_means<double, float>(rows_first);
    expect_means<f16, float>(rows_first);
    expect_means<bf16, float>(rows_first);
  }
}

template <class T>
void expect_gradient(double tolerance) {
  using C = Compute<T>;
  const TokenTiles tiles = token_tiles(Sizes{3, 5}, Sizes{2, 4});
  const auto dmeans = some_numbers<C>(batch * heads * tiles.tiles() * dim);
  std::vector<T> dx(static_cast<std::size_t>(batch * heads * tokens * dim), static_cast<T>(C(2)));
  add_pooled_gradient<T>(dmeans.data(), batch, heads, dim, tiles, {dx.data(), heads * tokens * dim, tokens * dim, dim});
  for (std::int64_t head = 0; head < batch * heads; ++head)
    for (std::int64_t tile = 0; tile < tiles.tiles(); ++tile)
      for (const std::int32_t token : tiles.tokens_of(tile))
        for (std::int64_t c = 0; c < dim; ++c)
          EXPECT_NEAR(static_cast<double>(static_cast<C>(dx[(head * tokens + token) * dim + c])),
                      2 + static_cast<double>(dmeans[(head * tiles.tiles() + tile) * dim + c]) / tiles.size(tile),
                      tolerance);
}

TEST(Pooling, gradient) {
  expect_gradient<float>(1e-6);
  expect_gradient<double>(1e-14);
  expect_gradient<f16>(4e-3);
  expect_gradient<bf16>(4e-2);
}

}  // namespace
}  // namespace tessera
