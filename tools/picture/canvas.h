#pragma once
// A picture of pixels with rectangles and plain text, written as PNG.
#include <cstdint>
#include <string>
#include <vector>

namespace tessera {

struct Colour {
  std::uint8_t red, green, blue;
};
// Between two colours: 0 gives a, 1 gives b.
Colour mixed(Colour a, Colour b, double share);

class Canvas {
 public:
  Canvas(int width, int height, Colour background);
  int width() const { return width_; }
  int height() const { return height_; }
  // What lies outside of the picture is left out.
  void fill(int x, int y, int width, int height, Colour colour);
  // The upper left corner of the first letter is at (x, y); letters without a glyph are drawn as a box.
  void text(int x, int y, const std::string& text, Colour colour, int scale = 1);
  // The same, upwards: the first letter's corner is the lower left one.
  void text_up(int x, int y, const std::string& text, Colour colour, int scale = 1);
  static int text_width(const std::string& text, int scale = 1) { return static_cast<int>(text.size()) * 6 * scale; }

  // Whole or not at all. Errors: run_time when it cannot be written.
  void write_png(const std::string& path) const;

 private:
  int width_, height_;
  std::vector<Colour> pixels_;
};

// Rows of a letter, 5 wide and 9 high ('#' is ink, rows end in '|'); the last two rows are for descenders. Null: no
// glyph.
const char* glyph(char letter);

}  // namespace tessera
