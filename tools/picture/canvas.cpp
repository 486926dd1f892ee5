#include "tools/picture/canvas.h"

#include <png.h>

#include <algorithm>

#include "runtime/base/aside_file.h"
#include "runtime/base/error.h"

namespace tessera {

Colour mixed(Colour a, Colour b, double share) {
  const auto part = [&](std::uint8_t x, std::uint8_t y) {
    return static_cast<std::uint8_t>(x + (y - x) * share + 0.5);
  };
  return {part(a.red, b.red), part(a.green, b.green), part(a.blue, b.blue)};
}

Canvas::Canvas(int width, int height, Colour background)
    : width_(width), height_(height), pixels_(static_cast<std::size_t>(width) * height, background) {}

void Canvas::fill(int x, int y, int width, int height, Colour colour) {
  const int left = std::max(x, 0), right = std::min(x + width, width_);
  for (int row = std::max(y, 0); row < std::min(y + height, height_); ++row)
    for (int column = left; column < right; ++column) pixels_[static_cast<std::size_t>(row) * width_ + column] = colour;
}

namespace {

// Calls ink(column, row) for each dot of the letter.
template <class F>
void for_each_dot(char letter, F ink) {
  const char* rows = glyph(letter);
  if (rows == nullptr) rows = "#####|#...#|#...#|#...#|#...#|#...#|#####|";
  for (int row = 0, column = 0; *rows; ++rows, ++column) {
    if (*rows == '|') {
      ++row;
      column = -1;
    } else if (*rows == '#') {
      ink(column, row);
    }
  }
}

}  // namespace

void Canvas::text(int x, int y, const std::string& text, Colour colour, int scale) {
  for (const char letter : text) {
    for_each_dot(letter, [&](int c, int r) { fill(x + c * scale, y + r * scale, scale, scale, colour); });
    x += 6 * scale;
  }
}

void Canvas::text_up(int x, int y, const std::string& text, Colour colour, int scale) {
  for (const char letter : text) {
    for_each_dot(letter, [&](int c, int r) { fill(x + r * scale, y - (c + 1) * scale, scale, scale, colour); });
    y -= 6 * scale;
  }
}

void Canvas::write_png(const std::string& path) const {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_);
  image.height = static_cast<png_uint_32>(height_);
  image.format = PNG_FORMAT_RGB;
  static_assert(sizeof(Colour) == 3);
  png_alloc_size_t size = 0;
  const bool sized = png_image_write_to_memory(&image, nullptr, &size, 0, pixels_.data(), 0, nullptr);
  std::string bytes(size, '\0');
  check(sized && png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels_.data(), 0, nullptr), Code::run_time,
        "cannot encode the picture '", path, "': ", image.message);
  AsideFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace tessera
