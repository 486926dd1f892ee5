#include "ops/attention/planned_method.h"

#include <algorithm>

namespace tessera {
namespace {

std::optional<TokenTiles> tiles_of(const AttentionMethod& method, const AttentionShape& shape,
                                   std::span<const std::int64_t> grid, const MethodParameters& parameters) {
  if (!cuts_tiles(method)) return std::nullopt;
  check(!grid.empty(), "'", method.name, "' cuts a grid of tokens into tiles and needs attribute 'grid', [T, H, W]");
  check(shape.q_len == shape.kv_len, "'", method.name, "' has one grid for queries and keys, but there are ",
        shape.q_len, " queries and ", shape.kv_len, " keys (cross-attention)");
  const Shape sizes(grid);
  const bool positive = std::all_of(grid.begin(), grid.end(), [](std::int64_t n) { return n > 0; });
  check(positive, "grid ", sizes, " has an axis without tokens; '", method.name, "' needs at least one token");
  check(element_count(grid) == shape.q_len, "grid ", sizes, " does not hold the ", shape.q_len, " tokens");
  const auto& tile = parameters.integers("tile");
  check(tile.size() == grid.size(), "parameter 'tile' has ", tile.size(), " axes, the grid ", sizes, " has ",
        grid.size());
  return token_tiles(grid, tile);
}

}  // namespace

bool cuts_tiles(const AttentionMethod& method) {
  return std::any_of(method.parameters.begin(), method.parameters.end(),
                     [](const MethodParameter& p) { return p.name == "tile"; });
}

PlannedMethod::PlannedMethod(const AttentionMethod& method, const AttentionShape& shape, double scale,
                             std::span<const std::int64_t> grid, const Attributes& given, const HeadRun& heads)
    : method(method),
      parameters(method.parameters, given),
      tiles(tiles_of(method, shape, grid, parameters)),
      call{.shape = shape,
           .scale = scale,
           .parameters = &parameters,
           .query_tiles = tiles ? &*tiles : nullptr,
           .key_tiles = tiles ? &*tiles : nullptr,
           .first_head = heads.first,
           .head_step = heads.step} {
  if (method.check) method.check(method, call);
  if (!selects()) return;
  width_ = method.width ? method.width(method, call) : tiles->tiles();
  check(width_ >= 0 && width_ <= tiles->tiles(), Code::plugin, "'", method.name, "' says that lists have up to ",
        width_, " of ", tiles->tiles(), " tiles");
  for (std::int64_t i = 0; i < tiles->tiles(); ++i)
    largest_tile_ = std::max<std::int64_t>(largest_tile_, tiles->size(i));
}

Shape PlannedMethod::selection_shape() const {
  return {call.shape.batch, call.shape.q_heads, tiles->tiles(), width_ + largest_tile_};
}

double PlannedMethod::all_pairs() const {
  const auto& s = call.shape;
  return static_cast<double>(s.batch * s.q_heads) * static_cast<double>(s.q_len) * static_cast<double>(s.kv_len);
}

double PlannedMethod::pairs() const {
  if (method.pairs) return method.pairs(method, call);
  if (!selects() || tiles->tiles() == 0) return all_pairs();
  return all_pairs() * static_cast<double>(width_) / static_cast<double>(tiles->tiles());
}

double PlannedMethod::flops(bool gated) const {
  const auto& s = call.shape;
  const double product = 2.0 * static_cast<double>(s.qk_dim + s.v_dim);
  double n = product * pairs();
  if (!selects()) return n;
  const auto heads = static_cast<double>(s.batch * s.q_heads), count = static_cast<double>(tiles->tiles());
  n += 2 * heads * count * count * static_cast<double>(s.qk_dim);                 // scores
  n += heads * static_cast<double>(s.q_len) * static_cast<double>(2 * s.qk_dim);  // means
  if (gated) n += product * heads * count * count + 2 * heads * static_cast<double>(s.q_len * s.v_dim);
  return n;
}

}  // namespace tessera
