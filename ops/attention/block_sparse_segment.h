#pragma once
// A part of the queries of block-sparse attention that backward works on at a time.
#include "ops/attention/block_sparse_rows.h"

namespace tessera::attention {

// Lists turned round, which query tiles name a key tile, and where each pair of tiles has its block of ds:
// [queries of the tile][key_pitch], blocks in the order of the lists.
struct TurnedLists {
  std::vector<std::int64_t> begin;  // per pair and key tile
  std::vector<std::int32_t> tile;   // query tiles, ascending, counted from the segment's first
  std::vector<std::int64_t> block;
  std::vector<std::int64_t> first_block;  // per query tile

  struct Row {
    std::span<const std::int32_t> tile;
    std::span<const std::int64_t> block;
  };
  Row row(std::int64_t i) const {
    const auto from = static_cast<std::size_t>(begin[i]), count = static_cast<std::size_t>(begin[i + 1]) - from;
    return {std::span(tile).subspan(from, count), std::span(block).subspan(from, count)};
  }
};

struct Segment {
  std::int64_t first_pair, end_pair;  // (batch, kv head) pairs
  std::int64_t begin, end;            // rows of BlockLists: all of these pairs, or a part of those of one pair
  bool opens, closes;                 // it is the first, the last part of its pairs
};

// Pairs larger than `limit` elements in parts of about `limit`, each a segment; smaller ones whole, as many to a
// segment as `times` that limit holds. Row r of the lists takes sizes[r], a pair takes of_pair besides.
std::vector<Segment> segments(std::int64_t pairs, std::span<const std::int64_t> sizes, std::int64_t of_pair,
                              std::int64_t limit, std::int64_t times);

// The lists of a segment of `rows_of_pair` rows a pair. Tiles without rows in `rows` are left out.
TurnedLists turned_lists(const Segment& segment, std::int64_t rows_of_pair, const BlockLists& lists,
                         const TileRows& rows, const std::vector<std::int64_t>& key_pitch);

}  // namespace tessera::attention
