#pragma once
// Which tiles of keys the tiles of queries of one head attend to, as a picture: a row per query tile, a column per key
// tile, both in the order of the token grid, with a line where a new frame (the first axis of the grid) begins.
#include "tools/picture/canvas.h"

namespace tessera {

struct TileMask {
  std::string title, caption;                          // above and below the picture
  std::vector<std::int64_t> query_counts, key_counts;  // tiles along each axis of the token grid
  std::vector<float> share;                            // [query tiles][key tiles]: pairs computed / all pairs
};

// Small masks get large cells; where there are more tiles than pixels, a pixel shows the mean of its tiles.
Canvas draw_mask(const TileMask& mask);

}  // namespace tessera
