#include "ops/attention/token_tiles.h"

#include <algorithm>
#include <limits>

#include "runtime/base/error.h"

namespace tessera {
namespace {

using Sizes = std::vector<std::int64_t>;

std::int64_t product(const Sizes& sizes) {
  std::int64_t n = 1;
  for (const auto s : sizes) n *= s;
  return n;
}

// Moves on to the next index of a box of these sizes, the last axis running fastest.
void advance(Sizes& index, const Sizes& sizes) {
  for (std::size_t axis = sizes.size(); axis-- > 0;) {
    if (++index[axis] < sizes[axis]) return;
    index[axis] = 0;
  }
}

// Sizes of the tile with these indices, clipped.
void clip(const Sizes& index, const TokenTiles& tiles, Sizes& sizes) {
  for (std::size_t axis = 0; axis < index.size(); ++axis)
    sizes[axis] = std::min(tiles.cube[axis], tiles.grid[axis] - index[axis] * tiles.cube[axis]);
}

void check_sizes(std::span<const std::int64_t> grid, std::span<const std::int64_t> cube) {
  check(!grid.empty() && grid.size() <= 4, "a token grid has 1 to 4 axes, got ", grid.size());
  check(cube.size() == grid.size(), "a tile of ", cube.size(), " axes for a token grid of ", grid.size());
  std::int64_t tokens = 1;
  for (std::size_t axis = 0; axis < grid.size(); ++axis) {
    check(grid[axis] >= 1, "axis ", axis, " of the token grid has size ", grid[axis]);
    check(cube[axis] >= 1, "axis ", axis, " of the tile has size ", cube[axis]);
    check(grid[axis] <= std::numeric_limits<std::int32_t>::max() / tokens, "the token grid has more than 2^31 tokens");
    tokens *= grid[axis];
  }
}

}  // namespace

std::vector<std::int64_t> TokenTiles::extents(std::int64_t tile) const {
  Sizes index(grid.size()), sizes(grid.size());
  for (std::size_t axis = index.size(); axis-- > 0; tile /= counts[axis]) index[axis] = tile % counts[axis];
  clip(index, *this, sizes);
  return sizes;
}

TokenTiles token_tiles(std::span<const std::int64_t> grid, std::span<const std::int64_t> cube) {
  check_sizes(grid, cube);
  TokenTiles tiles;
  tiles.grid.assign(grid.begin(), grid.end());
  tiles.cube.assign(cube.begin(), cube.end());
  for (std::size_t axis = 0; axis < grid.size(); ++axis) tiles.counts.push_back((grid[axis] - 1) / cube[axis] + 1);
  const std::int64_t tokens = product(tiles.grid), n = product(tiles.counts);
  tiles.order.reserve(static_cast<std::size_t>(tokens));
  tiles.first.reserve(static_cast<std::size_t>(n) + 1);
  tiles.first.push_back(0);
  Sizes index(grid.size()), sizes(grid.size()), inside(grid.size());
  for (std::int64_t tile = 0; tile < n; ++tile, advance(index, tiles.counts)) {
    clip(index, tiles, sizes);
    for (std::int64_t left = product(sizes); left > 0; --left, advance(inside, sizes)) {
      std::int64_t token = 0;
      for (std::size_t axis = 0; axis < grid.size(); ++axis)
        token = token * grid[axis] + index[axis] * cube[axis] + inside[axis];
      tiles.order.push_back(static_cast<std::int32_t>(token));
    }
    tiles.first.push_back(static_cast<std::int32_t>(tiles.order.size()));
  }
  return tiles;
}

}  // namespace tessera
