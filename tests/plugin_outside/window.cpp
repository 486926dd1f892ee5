// Sliding tile attention: each tile of the token grid attends to the tiles around it, whatever they hold.
#include <tessera/attention_method.hpp>

#include <algorithm>
#include <cstdlib>

using namespace tessera::plugin;

// At most `radius` tiles away along every axis.
static bool near(const Tiles& tiles, std::int64_t a, std::int64_t b, Dims radius) {
  const auto at = tiles.place(a), other = tiles.place(b);
  for (std::size_t i = 0; i < tiles.axes(); ++i)
    if (std::abs(at[i] - other[i]) > radius[i]) return false;
  return true;
}

static void select_tiles(Select& s) {
  const Dims radius = s.integers("radius");
  std::vector<std::int32_t> chosen;
  for (const auto query_tile : s.query_tiles_here()) {
    chosen.clear();
    for (std::int32_t key_tile = 0; key_tile < s.key_tile_count(); ++key_tile)
      if (near(s.key_tiles(), query_tile, key_tile, radius)) chosen.push_back(key_tile);
    s.choose(query_tile, chosen);
  }
}

static void check(MethodCall& c) {
  if (c.integers("radius").size() != c.query_tiles().axes())
    throw std::invalid_argument("radius needs a number per axis");
  if (!std::ranges::equal(c.query_tiles().grid(), c.key_tiles().grid()))
    throw std::invalid_argument("queries and keys must be one grid of tokens");
}

constexpr tsr_parameter parameters[] = {Parameter{.name = "tile",
                                                  .type = TSR_INTEGERS,
                                                  .fallback = "[4, 4, 4]",
                                                  .low = 1,
                                                  .high = 1024,
                                                  .doc = "tokens of a tile along each axis of the grid"},
                                        Parameter{.name = "radius",
                                                  .type = TSR_INTEGERS,
                                                  .fallback = "[1, 1, 1]",
                                                  .low = 0,
                                                  .high = 1024,
                                                  .doc = "tiles seen to either side along each axis"}};

constexpr tsr_method methods[] = {Method{.name = "window",
                                         .doc = "Each tile attends to the tiles within `radius` of it.",
                                         .source = "Zhang et al. 2025, Sliding Tile Attention, arXiv:2502.04507",
                                         .parameters = parameters,
                                         .check = guard<check>,
                                         .select = guard<select_tiles>}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "window", .version = "1.0", .doc = "A fixed window over the token grid", .methods = methods};
  return &plugin;
}
