#pragma once
// The queries of block-sparse attention that are computed, in groups of up to kTileQueries that share a list.
#include "ops/attention/block_sparse.h"
#include "ops/attention/panel.h"
#include "ops/attention/query_block.h"

namespace tessera::attention {

// How `count` queries stand in lanes: blocks of up to kBlockVectors vectors, as even as they come (64 lanes of 16 are
// two blocks of two vectors, not one of three and one of one), side by side.
template <class C>
struct LaneBlocks {
  static constexpr int vector = simd::kLanes<C>;
  int count, total, part;  // queries; vectors, vectors of all blocks but the last
  explicit LaneBlocks(int queries)
      : count(queries),
        total((queries + vector - 1) / vector),
        part(static_cast<int>(even_part(total, kBlockVectors))) {}
  int blocks() const { return (total + part - 1) / part; }
  int first(int block) const { return block * part * vector; }  // lane
  int vectors(int block) const { return std::min(part, total - block * part); }
  int queries(int block) const { return std::min(part * vector, count - first(block)); }
  int lanes() const { return total * vector; }
};

// Panels of all blocks of up to kTileQueries rows, [dim][lanes of the block], one after the other.
template <class C>
void pack_rows(Rows<C> rows, int count, std::int64_t dim, C* panel) {
  const LaneBlocks<C> in(count);
  for (int b = 0; b < in.blocks(); ++b) {
    const C* from[kBlockLanes<C>];
    for (int i = 0; i < in.vectors(b) * in.vector; ++i) from[i] = rows.row(std::min(in.first(b) + i, count - 1));
    pack_panel<C>(from, 1, dim, in.vectors(b), Rows<C>{panel + in.first(b) * dim, in.vectors(b) * in.vector});
  }
}

template <class C>
Rows<const C> block_panel(const LaneBlocks<C>& in, int block, std::int64_t dim, const C* panel) {
  return {panel + in.first(block) * dim, in.vectors(block) * in.vector};
}

// Up to kTileQueries queries of one tile.
struct RowGroup {
  std::int64_t batch, head, tile;
  std::int64_t first;  // of its places in QueryRows::places
  int count;
};

struct QueryRows {
  std::vector<std::int32_t> places;  // in tiled order
  std::vector<RowGroup> groups;      // in the order of batch, head, tile
};

// Of (batch, head) pairs [begin, end), batch * q_heads + head; `vector` lanes are best filled together. Queries that
// have another source, or none, are left out.
QueryRows query_rows(const AttentionShape& shape, const TokenTiles& tiles, const std::int32_t* source,
                     std::int64_t begin, std::int64_t end, int vector);

}  // namespace tessera::attention
