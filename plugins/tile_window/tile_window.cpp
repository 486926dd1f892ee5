// A fixed window over the token grid: each tile attends to the tiles near it, whatever they hold.
#include <tessera/attention_method.hpp>

#include <algorithm>

using namespace tessera::plugin;

static void check(MethodCall& m) {
  if (m.integers("window").size() != m.query_tiles().axes())
    throw std::invalid_argument("window needs one number for each axis of the grid");
  if (!std::ranges::equal(m.query_tiles().counts(), m.key_tiles().counts()))
    throw std::invalid_argument("queries and keys must lie on one grid");
  for (std::size_t a = 0; a < m.key_tiles().axes(); ++a)
    if (m.integers("window")[a] % 2 == 0 && m.integers("window")[a] < m.key_tiles().counts()[a])
      throw std::invalid_argument("an even window has no tile in its middle: take an odd one, or the whole grid");
}

// Windows keep their size at the edges of the grid: their centre moves inwards there.
static void select_tiles(Select& s) {
  const Tiles tiles = s.key_tiles();
  const auto window = s.integers("window");
  std::vector<std::int32_t> near;
  for (const auto query_tile : s.query_tiles_here()) {
    const auto here = tiles.place(query_tile);
    near.clear();
    for (std::int64_t tile = 0; tile < tiles.count(); ++tile) {
      const auto there = tiles.place(tile);
      bool inside = true;
      for (std::size_t a = 0; a < tiles.axes(); ++a) {
        const std::int64_t size = std::min(window[a], tiles.counts()[a]);
        const std::int64_t first = std::clamp<std::int64_t>(here[a] - size / 2, 0, tiles.counts()[a] - size);
        inside = inside && there[a] >= first && there[a] < first + size;
      }
      if (inside) near.push_back(static_cast<std::int32_t>(tile));
    }
    s.choose(query_tile, near);
  }
}

static std::int64_t width(MethodCall& m) {
  std::int64_t tiles = 1;
  for (std::size_t a = 0; a < m.key_tiles().axes(); ++a)
    tiles *= std::min(m.integers("window")[a], m.key_tiles().counts()[a]);
  return tiles;
}

constexpr tsr_parameter parameters[] = {
    Parameter{.name = "tile", .type = TSR_INTEGERS, .fallback = "[4, 4, 4]", .low = 1, .high = 1024, .doc = "tokens"},
    Parameter{.name = "window", .type = TSR_INTEGERS, .fallback = "[3, 3, 3]", .low = 1, .high = 1e6, .doc = "tiles"}};
constexpr tsr_method methods[] = {Method{.name = "tile_window",
                                         .doc = "Each tile attends to a window of tiles around it.",
                                         .source = "Zhang et al. 2025, Sliding Tile Attention, arXiv:2502.04507",
                                         .parameters = parameters,
                                         .check = guard<check>,
                                         .select = guard<select_tiles>,
                                         .width = guard<width>}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "tile_window", .version = "1.0", .doc = "Sliding tile attention", .methods = methods};
  return &plugin;
}
