#include "ops/attention/block_sparse.h"

#include "ops/attention/block_sparse_rows.h"
#include "runtime/base/parts.h"

namespace tessera {
namespace attention {

std::int64_t computed_tokens(const TokenTiles& tiles, const std::int32_t* source, std::int64_t head,
                             std::int64_t tile) {
  if (source == nullptr) return tiles.size(tile);
  const std::int32_t* const own = source + head * tiles.tokens();
  std::int64_t count = 0;
  for (std::int32_t place = tiles.first[tile]; place < tiles.first[tile + 1]; ++place) count += own[place] == place;
  return count;
}

std::int64_t listed_rows(const std::int32_t* first, std::span<const std::int32_t> list) {
  std::int64_t count = 0;
  for (const std::int32_t tile : list) count += first[tile + 1] - first[tile];
  return count;
}

TileRows tile_rows(std::int64_t heads, const TokenTiles& tiles, const std::int32_t* source, std::int64_t begin,
                   std::int64_t end, int vector) {
  TileRows rows;
  const std::int64_t count = tiles.tiles();
  rows.of_tiles.push_back(0);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t head = i / count, tile = i % count, first = std::ssize(rows.places);
    const std::int32_t* const own = source != nullptr ? source + head * tiles.tokens() : nullptr;
    for (std::int32_t place = tiles.first[tile]; place < tiles.first[tile + 1]; ++place)
      if (own == nullptr || own[place] == place) rows.places.push_back(place);
    const std::int64_t last = std::ssize(rows.places);
    const std::int64_t part = vector * even_part(divide_up(last - first, vector), kTileQueries / vector);
    for (std::int64_t at = first; at < last; at += part)
      rows.groups.push_back({head / heads, head % heads, tile, at, static_cast<int>(std::min(part, last - at))});
    rows.of_tiles.push_back(static_cast<std::int32_t>(last));
  }
  return rows;
}

}  // namespace attention

std::vector<std::int64_t> pairs_computed(const AttentionShape& shape, const TokenTiles& query_tiles,
                                         const TokenTiles& key_tiles, const BlockLists& lists,
                                         const std::int32_t* source) {
  std::vector<std::int64_t> pairs(static_cast<std::size_t>(shape.batch * shape.q_heads));
  for (std::int64_t head = 0; head < shape.batch * shape.q_heads; ++head) {
    for (std::int64_t tile = 0; tile < query_tiles.tiles(); ++tile) {
      const std::int64_t queries = attention::computed_tokens(query_tiles, source, head, tile);
      pairs[static_cast<std::size_t>(head)] +=
          queries * attention::listed_rows(key_tiles.first.data(), lists.row(head, tile));
    }
  }
  return pairs;
}

}  // namespace tessera
