#include "ops/attention/block_sparse_segment.h"

#include <numeric>

#include "runtime/base/parts.h"

namespace tessera::attention {
namespace {

std::int64_t total(std::span<const std::int64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
}

// Boundaries of `parts` parts of about equal size.
std::vector<std::int64_t> cut_evenly(std::span<const std::int64_t> sizes, std::int64_t parts) {
  const std::int64_t all = total(sizes);
  std::vector<std::int64_t> bounds{0};
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    while (sum * parts >= all * std::ssize(bounds) && std::ssize(bounds) < parts)
      bounds.push_back(static_cast<std::int64_t>(i));
    sum += sizes[i];
  }
  bounds.resize(static_cast<std::size_t>(parts) + 1, std::ssize(sizes));
  return bounds;
}

}  // namespace

std::vector<Segment> segments(std::int64_t pairs, std::span<const std::int64_t> sizes, std::int64_t of_pair,
                              std::int64_t limit, std::int64_t times) {
  const std::int64_t rows = std::ssize(sizes) / pairs;  // of a pair
  const auto size = [&](std::int64_t pair) { return total(sizes.subspan(pair * rows, rows)) + of_pair; };
  std::vector<Segment> all;
  for (std::int64_t begin = 0, end; begin < pairs; begin = end) {
    std::int64_t sum = size(begin);
    const std::int64_t most = sum <= limit ? times * limit : sum;
    for (end = begin + 1; end < pairs && size(end) <= limit && sum + size(end) <= most; ++end) sum += size(end);
    const std::int64_t parts = end - begin > 1 ? 1 : std::max<std::int64_t>(1, divide_up(sum - of_pair, limit));
    const auto bounds = cut_evenly(sizes.subspan(begin * rows, (end - begin) * rows), parts);
    for (std::int64_t i = 0; i < parts; ++i)
      all.push_back({begin, end, begin * rows + bounds[i], begin * rows + bounds[i + 1], i == 0, i + 1 == parts});
  }
  return all;
}

TurnedLists turned_lists(const Segment& segment, std::int64_t rows_of_pair, const BlockLists& lists,
                         const TileRows& rows, const std::vector<std::int64_t>& key_pitch) {
  TurnedLists turned;
  const auto for_each = [&](auto&& f) {
    for (std::int64_t r = segment.begin; r < segment.end; ++r) {
      const std::int64_t tile = r - segment.begin, pair = r / rows_of_pair - segment.first_pair;
      if (rows.of_tiles[tile] == rows.of_tiles[tile + 1]) continue;
      for (const std::int32_t key_tile : lists.row(r)) f(pair * std::ssize(key_pitch) + key_tile, tile, key_tile);
    }
  };
  turned.begin.resize(static_cast<std::size_t>((segment.end_pair - segment.first_pair) * std::ssize(key_pitch) + 1));
  for_each([&](std::int64_t to, std::int64_t, std::int32_t) { ++turned.begin[to + 1]; });
  std::partial_sum(turned.begin.begin(), turned.begin.end(), turned.begin.begin());
  turned.tile.resize(static_cast<std::size_t>(turned.begin.back()));
  turned.block.resize(turned.tile.size());
  turned.first_block.assign(static_cast<std::size_t>(segment.end - segment.begin), -1);
  auto next = turned.begin;
  std::int64_t at = 0;
  for_each([&](std::int64_t to, std::int64_t tile, std::int32_t key_tile) {
    if (turned.first_block[tile] < 0) turned.first_block[tile] = at;
    turned.block[next[to]] = at;
    turned.tile[next[to]++] = static_cast<std::int32_t>(tile);
    at += (rows.of_tiles[tile + 1] - rows.of_tiles[tile]) * key_pitch[key_tile];
  });
  return turned;
}

}  // namespace tessera::attention
