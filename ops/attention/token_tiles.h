#pragma once
// The tokens of one attention, partitioned into tiles: a token grid cut into cubes. Edge tiles of a grid that the cube
// does not divide are clipped; no token is padded, no slot is empty.
//
// Token (t, y, x) of a grid [T, H, W] has index (t H + y) W + x, as patch embedding lays them. Tiles are counted in the
// same order, and so are the tokens inside a (clipped) tile. A grid of one axis is a plain sequence.
// Source: Zhang et al. 2025, arXiv:2505.13389, section 3 (cubes); FastVideo's variable block sizes for ragged grids.
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera {

struct TokenTiles {
  std::vector<std::int64_t> counts;  // tiles along each axis
  std::vector<std::int32_t> order;   // [tokens]: the token at each place of the tiled order
  std::vector<std::int32_t> first;   // [tiles + 1]: the place where each tile begins
  std::int64_t tokens() const { return static_cast<std::int64_t>(order.size()); }
  std::int64_t tiles() const { return static_cast<std::int64_t>(first.size()) - 1; }
  int size(std::int64_t tile) const { return first[tile + 1] - first[tile]; }
  // Tiles are runs of consecutive tokens, one after the other.
  bool in_order() const { return std::ranges::is_sorted(order); }
  std::span<const std::int32_t> tokens_of(std::int64_t tile) const {
    return {order.data() + first[tile], static_cast<std::size_t>(size(tile))};
  }
  // The extents of a tile along each axis, clipped; product = size(tile).
  std::vector<std::int64_t> extents(std::int64_t tile) const;

  std::vector<std::int64_t> grid, cube;
};

// grid and cube have the same number of axes, 1 to 4, all sizes >= 1. Errors: bad_input.
TokenTiles token_tiles(std::span<const std::int64_t> grid, std::span<const std::int64_t> cube);

}  // namespace tessera
