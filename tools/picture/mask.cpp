#include "tools/picture/mask.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/error.h"
#include "runtime/base/parts.h"

namespace tessera {
namespace {

constexpr Colour paper{255, 255, 255}, ink{22, 66, 120}, empty{238, 240, 243}, line{214, 118, 60}, words{40, 40, 40};
constexpr int left = 84, top = 56, right = 24, bottom = 84;  // margins
constexpr int longest = 960;                                 // pixels of the longer side of the map, where tiles allow

// Tiles of one axis of the map, and how they become pixels: `scale` pixels per tile, or `group` tiles per pixel.
struct Side {
  explicit Side(const std::vector<std::int64_t>& counts)
      : tiles(std::accumulate(counts.begin(), counts.end(), std::int64_t{1}, std::multiplies<>())),
        frame(counts.empty() ? 1 : tiles / std::max<std::int64_t>(counts[0], 1)),
        frames(counts.size() > 1 ? counts[0] : 1) {}
  void fit(std::int64_t most) {
    scale = static_cast<int>(std::clamp<std::int64_t>(longest / std::max<std::int64_t>(most, 1), 1, 24));
    group = divide_up(most, 2 * longest);
  }
  int pixels() const { return static_cast<int>(divide_up(tiles, group)) * scale; }
  int at(std::int64_t tile) const { return static_cast<int>(tile / group) * scale; }
  std::int64_t tiles, frame, frames, group = 1;
  int scale = 1;
};

void draw_cells(Canvas& canvas, const TileMask& mask, const Side& rows, const Side& columns) {
  for (std::int64_t i = 0; i < rows.tiles; i += rows.group)
    for (std::int64_t j = 0; j < columns.tiles; j += columns.group) {
      double sum = 0;
      const std::int64_t i_end = std::min(i + rows.group, rows.tiles),
                         j_end = std::min(j + columns.group, columns.tiles);
      for (std::int64_t a = i; a < i_end; ++a)
        for (std::int64_t b = j; b < j_end; ++b) sum += mask.share[static_cast<std::size_t>(a * columns.tiles + b)];
      const double share = sum / static_cast<double>((i_end - i) * (j_end - j));
      const int gap = rows.scale > 4 ? 1 : 0;  // cells large enough to be counted are kept apart
      canvas.fill(left + columns.at(j), top + rows.at(i), columns.scale - gap, rows.scale - gap,
                  mixed(empty, ink, share));
    }
}

// Numbers of frames along an axis, as many as have room.
template <class Draw>
void for_each_frame(const Side& side, int room, Draw draw) {
  const int apart = std::max(1, side.at(side.frame));
  const std::int64_t step = divide_up(room, apart);
  for (std::int64_t t = 0; t < side.frames; ++t) draw(side.at(t * side.frame), t, t % step == 0);
}

}  // namespace

Canvas draw_mask(const TileMask& mask) {
  Side rows(mask.query_counts), columns(mask.key_counts);
  check(static_cast<std::int64_t>(mask.share.size()) == rows.tiles * columns.tiles, Code::internal, "a mask of ",
        rows.tiles, " x ", columns.tiles, " tiles has ", mask.share.size(), " cells");
  rows.fit(std::max(rows.tiles, columns.tiles));
  columns.fit(std::max(rows.tiles, columns.tiles));
  const int scale = columns.pixels() >= 480 ? 2 : 1;  // of the text
  const int width =
      std::max({columns.pixels(), Canvas::text_width(mask.title, 2), Canvas::text_width(mask.caption, scale)});
  const std::string vertical = "query tiles, by frame";
  const int height = std::max(rows.pixels(), Canvas::text_width(vertical, scale));
  Canvas canvas(left + width + right, top + height + bottom, paper);
  draw_cells(canvas, mask, rows, columns);
  for_each_frame(rows, 12, [&](int y, std::int64_t t, bool labelled) {
    if (t > 0) canvas.fill(left, top + y - 1, columns.pixels(), 1, line);
    const std::string label = std::to_string(t);
    if (labelled) canvas.text(left - 8 - Canvas::text_width(label), top + y + 1, label, words);
  });
  for_each_frame(columns, 24, [&](int x, std::int64_t t, bool labelled) {
    if (t > 0) canvas.fill(left + x - 1, top, 1, rows.pixels(), line);
    if (labelled) canvas.text(left + x + 1, top + rows.pixels() + 5, std::to_string(t), words);
  });
  canvas.text(left, 16, mask.title, words, 2);
  canvas.text(left, top + height + 24, "key tiles, by frame", words, scale);
  canvas.text(left, top + height + 54, mask.caption, words, scale);
  canvas.text_up(18, top + Canvas::text_width(vertical, scale), vertical, words, scale);
  return canvas;
}

}  // namespace tessera
