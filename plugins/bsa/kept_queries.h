#pragma once
// Which queries of a tile BSA computes, and whose output the others take: in each window of the tile, the queries least
// like the window's center are kept, since the others are told by it. Source: BSA, arXiv:2509.01085,
// section 3 (query sparsity); what is not published there is marked in README.md.
#include <cstdint>
#include <span>
#include <vector>

namespace tessera::bsa {

enum class Fill {
  center,        // the center of the window, or the kept query most like it
  nearest_flat,  // the kept query with the nearest index, the lower of two
  nearest_cos,   // the kept query most like this one
  zero           // no output
};

struct QueryRule {
  std::vector<std::int64_t> window;  // per axis of the tile
  double keep = 0.5;                 // of each window: max(1, ceil(keep * tokens))
  bool mean_center = false;          // the center is the mean of the window, not one of its queries
  std::int64_t center_slot = -1;     // index in an unclipped window; -1: the middle
  bool force_center = true;          // the center itself is kept
  Fill fill = Fill::center;
};

// extents: of the tile, per axis; queries [tokens][dim]; source [tokens] is set to the token itself, the token whose
// output it takes, or -1.
void keep_queries(const QueryRule& rule, std::span<const std::int64_t> extents, const float* queries, std::int64_t dim,
                  std::span<std::int32_t> source);

}  // namespace tessera::bsa
