#include "ops/attention/block_sparse_segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::attention {
namespace {

using testing::ElementsAre;

std::vector<std::vector<std::int64_t>> bounds(const std::vector<Segment>& segments) {
  std::vector<std::vector<std::int64_t>> all;
  for (const auto& s : segments) all.push_back({s.first_pair, s.end_pair, s.begin, s.end, s.opens, s.closes});
  return all;
}

TEST(Segments, hold_whole_pairs_that_fit) {
  EXPECT_THAT(bounds(segments(3, std::vector<std::int64_t>{2, 2, 3, 1, 1, 1}, 1, 10, 1)),
              ElementsAre(ElementsAre(0, 2, 0, 4, 1, 1), ElementsAre(2, 3, 4, 6, 1, 1)));
}

TEST(Segments, cut_a_pair_that_does_not_fit) {
  EXPECT_THAT(bounds(segments(2, std::vector<std::int64_t>{1, 1, 1, 4, 4, 4}, 100, 6, 1)),
              ElementsAre(ElementsAre(0, 1, 0, 3, 1, 1), ElementsAre(1, 2, 3, 5, 1, 0), ElementsAre(1, 2, 5, 6, 0, 1)));
}

// Four times the memory: more pairs go together, but those that one part would not hold are cut as before.
TEST(Segments, hold_more_whole_pairs_for_many_threads) {
  EXPECT_THAT(bounds(segments(5, std::vector<std::int64_t>{2, 2, 2, 2, 6, 6, 2, 2, 2, 2}, 1, 6, 4)),
              ElementsAre(ElementsAre(0, 2, 0, 4, 1, 1), ElementsAre(2, 3, 4, 5, 1, 0), ElementsAre(2, 3, 5, 6, 0, 1),
                          ElementsAre(3, 5, 6, 10, 1, 1)));
}

TEST(Segments, of_pairs_without_queries) {
  EXPECT_THAT(bounds(segments(1, {}, 8, 4, 1)), ElementsAre(ElementsAre(0, 1, 0, 0, 1, 1)));
}

// Pair 1 of two, two query tiles each; its first tile has no rows that are computed.
TEST(TurnedLists, name_query_tiles_and_their_blocks) {
  const BlockLists lists{2, 3, {0, 0, 0, 2, 4}, {0, 1, 0, 2}};
  const TileRows rows{{}, {0, 0, 5}, {}};
  const auto turned = turned_lists({1, 2, 2, 4, true, true}, 2, lists, rows, {16, 16, 32});
  EXPECT_THAT(turned.begin, ElementsAre(0, 1, 1, 2));
  EXPECT_THAT(turned.tile, ElementsAre(1, 1));
  EXPECT_THAT(turned.block, ElementsAre(0, 5 * 16));
  EXPECT_EQ(turned.first_block[1], 0);
}

}  // namespace
}  // namespace tessera::attention
