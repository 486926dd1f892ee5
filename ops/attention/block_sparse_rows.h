#pragma once
// The tokens of tiles that are computed, in groups of up to kTileQueries: those of a tile share a list, and stand in
// lanes together.
#include <bit>

#include "ops/attention/block_sparse.h"
#include "ops/attention/panel.h"
#include "ops/attention/query_block.h"
#include "runtime/base/parts.h"
#include "runtime/op/loop_threads.h"

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

// Panels of all blocks, [dim][lanes of the block], one after the other; row(i) points at the elements of row i.
template <class C, class F>
void pack_blocks(const LaneBlocks<C>& in, std::int64_t dim, F&& row, C* panel) {
  for (int b = 0; b < in.blocks(); ++b) {
    decltype(row(0)) from[kBlockLanes<C>];
    for (int i = 0; i < in.vectors(b) * in.vector; ++i) from[i] = row(std::min(in.first(b) + i, in.count - 1));
    pack_panel<C>(from, 1, dim, in.vectors(b), Rows<C>{panel + in.first(b) * dim, in.vectors(b) * in.vector});
  }
}

template <class C>
Rows<const C> block_panel(const LaneBlocks<C>& in, int block, std::int64_t dim, const C* panel) {
  return {panel + in.first(block) * dim, in.vectors(block) * in.vector};
}

// Caches that the threads of a loop are taken to have, one for every kThreadsOfCache: the heads that are worked on at a
// time are to fit into them. Those of one cache would be too few tasks for many threads.
inline constexpr int kThreadsOfCache = 8;
inline std::int64_t caches_of_threads() { return divide_up(loop_threads(), kThreadsOfCache); }

// Up to kTileQueries tokens of one tile.
struct RowGroup {
  std::int64_t batch, head, tile;
  std::int64_t first;  // of its rows
  int count;
};

// Tokens of a tile that are computed: their own source; `source` as in BlockSparse.
std::int64_t computed_tokens(const TokenTiles& tiles, const std::int32_t* source, std::int64_t head, std::int64_t tile);

// Rows of all tiles of a list, where first[t] is the first row of tile t.
std::int64_t listed_rows(const std::int32_t* first, std::span<const std::int32_t> list);

// The computed tokens of a range of (batch, head, tile), counted as the rows of BlockLists are, in that order.
struct TileRows {
  std::vector<std::int32_t> places;    // in the tiled order of their head
  std::vector<std::int32_t> of_tiles;  // bounds of the rows of each tile
  std::vector<RowGroup> groups;
};

// Of tiles [begin, end); `heads` of a batch entry. `vector` lanes are best filled together.
TileRows tile_rows(std::int64_t heads, const TokenTiles& tiles, const std::int32_t* source, std::int64_t begin,
                   std::int64_t end, int vector);

// The order in which n tasks of work(i) start: the longest first, so that none is left over when all others are done.
// Tasks alike within a factor of two keep their order, in which neighbours read the same rows.
template <class F>
std::vector<std::int32_t> longest_first(std::int64_t n, F&& work) {
  std::vector<std::pair<int, std::int32_t>> order;
  for (std::int32_t i = 0; i < n; ++i) order.emplace_back(-std::bit_width(static_cast<std::uint64_t>(work(i))), i);
  std::ranges::sort(order);
  std::vector<std::int32_t> tasks;
  for (const auto& [work_of, task] : order) tasks.push_back(task);
  return tasks;
}

}  // namespace tessera::attention
