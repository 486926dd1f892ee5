#include "ops/attention/block_sparse.h"

#include "ops/attention/block_sparse_rows.h"

namespace tessera {
namespace attention {

QueryRows query_rows(const AttentionShape& shape, const TokenTiles& tiles, const std::int32_t* source,
                     std::int64_t begin, std::int64_t end, int vector) {
  QueryRows rows;
  for (std::int64_t head = begin; head < end; ++head) {
    const std::int32_t* const own = source != nullptr ? source + head * shape.q_len : nullptr;
    for (std::int64_t tile = 0; tile < tiles.tiles(); ++tile) {
      const auto first = static_cast<std::int64_t>(rows.places.size());
      for (std::int32_t place = tiles.first[tile]; place < tiles.first[tile + 1]; ++place)
        if (own == nullptr || own[place] == place) rows.places.push_back(place);
      const auto last = static_cast<std::int64_t>(rows.places.size());
      const std::int64_t part = vector * even_part((last - first + vector - 1) / vector, kTileQueries / vector);
      for (std::int64_t at = first; at < last; at += part)
        rows.groups.push_back(
            {head / shape.q_heads, head % shape.q_heads, tile, at, static_cast<int>(std::min(part, last - at))});
    }
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
      std::int64_t queries = 0, keys = 0;
      for (std::int32_t place = query_tiles.first[tile]; place < query_tiles.first[tile + 1]; ++place)
        queries += source == nullptr || source[head * shape.q_len + place] == place ? 1 : 0;
      for (const std::int32_t key_tile : lists.row(head, tile)) keys += key_tiles.size(key_tile);
      pairs[static_cast<std::size_t>(head)] += queries * keys;
    }
  }
  return pairs;
}

}  // namespace tessera
