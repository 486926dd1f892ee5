// Pictures: what is in the pixels, and that a failure leaves no file.
#include <gmock/gmock.h>
#include <png.h>

#include <filesystem>

#include "runtime/base/error.h"
#include "tests/support/scratch_folder.h"
#include "tools/picture/error_time_plot.h"
#include "tools/picture/mask.h"

namespace tessera {
namespace {

struct Decoded {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;
  // Average brightness of a square around (x, y).
  int brightness(int x, int y) const {
    const std::size_t at = (static_cast<std::size_t>(y) * width + x) * 3;
    return (rgb[at] + rgb[at + 1] + rgb[at + 2]) / 3;
  }
};

Decoded decode(const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_file(&image, path.c_str())) << image.message;
  image.format = PNG_FORMAT_RGB;
  Decoded d{static_cast<int>(image.width), static_cast<int>(image.height), {}};
  d.rgb.resize(PNG_IMAGE_SIZE(image));
  EXPECT_TRUE(png_image_finish_read(&image, nullptr, d.rgb.data(), 0, nullptr)) << image.message;
  return d;
}

// 2 x 1 x 2 tiles; each query tile attends to itself wholly and half of the next.
TileMask small_mask() {
  TileMask mask{"blocks.0.attention.0  head 1: vsa", "2 x 1 x 2 tiles", {2, 1, 2}, {2, 1, 2}, std::vector<float>(16)};
  for (std::size_t i = 0; i < 4; ++i) {
    mask.share[i * 4 + i] = 1;
    if (i + 1 < 4) mask.share[i * 4 + i + 1] = 0.5f;
  }
  return mask;
}

TEST(Picture, mask_shows_rows_of_queries_and_columns_of_keys) {
  const ScratchFolder folder;
  const std::string path = folder.at("mask.png");
  draw_mask(small_mask()).write_png(path);
  const Decoded d = decode(path);
  // Cells are 24 pixels; the map begins at (84, 56).
  const auto cell = [&](int query, int key) { return d.brightness(84 + key * 24 + 12, 56 + query * 24 + 12); };
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) {
      const int expected = i == j ? 69 : j == i + 1 ? 155 : 240;
      EXPECT_NEAR(cell(i, j), expected, 3) << i << ", " << j;
    }
}

TEST(Picture, masks_of_many_tiles_are_averaged_to_a_bounded_size) {
  TileMask mask{"t", "c", {4096}, {4096}, std::vector<float>(4096 * 4096, 0.25f)};
  const Canvas canvas = draw_mask(mask);
  EXPECT_LT(canvas.width(), 2100);
  EXPECT_LT(canvas.height(), 2100);
}

TEST(Picture, failing_to_write_leaves_nothing) {
  const ScratchFolder folder;
  EXPECT_THROW(draw_mask(small_mask()).write_png(folder.at("no/such/folder.png")), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Picture, plot_places_faster_left_and_worse_up) {
  const std::string svg = error_time_plot("a < b", {{"dense", 2.0, 0}, {"fast", 0.5, 0.1}, {"good", 1.0, 0.01}});
  EXPECT_THAT(svg, testing::HasSubstr("a &lt; b"));
  std::vector<std::pair<double, double>> points;
  for (std::size_t at = svg.find("<circle cx=\""); at != std::string::npos; at = svg.find("<circle cx=\"", at + 1)) {
    const double x = std::stod(svg.substr(at + 12)), y = std::stod(svg.substr(svg.find("cy=\"", at) + 4));
    points.emplace_back(x, y);
  }
  ASSERT_EQ(points.size(), 3u);
  EXPECT_LT(points[1].first, points[2].first);
  EXPECT_LT(points[2].first, points[0].first);
  EXPECT_LT(points[1].second, points[2].second);  // y grows downwards
  EXPECT_LT(points[2].second, points[0].second);
}

}  // namespace
}  // namespace tessera
