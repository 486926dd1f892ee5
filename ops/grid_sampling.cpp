#include "ops/grid_sampling.h"

namespace tessera {

Shape GridSampling::y_shape() const {
  Shape s{batch, channels};
  for (const auto d : out) s.push_back(d);
  return s;
}

GridSampling grid_sampling(const AttributeReader& attr, const Shape& x, const Shape& grid) {
  const int axes = x.rank() - 2;
  check(axes >= 1 && axes <= 4, "X must be [N C in...] with 1 to 4 axes behind the channels, got ", x);
  check(grid.rank() == axes + 2 && grid[0] == x[0] && grid[static_cast<std::size_t>(axes + 1)] == axes,
        "grid must be [", x[0], " out... ", axes, "] with ", axes, " axes between, got ", grid);
  GridSampling s{.mode = static_cast<GridSampling::Mode>(attr.choice("mode")),
                 .padding = static_cast<GridSampling::Padding>(attr.choice("padding_mode")),
                 .align_corners = attr.flag("align_corners"),
                 .batch = x[0],
                 .channels = x[1],
                 .in = {},
                 .out = {}};
  for (int a = 0; a < axes; ++a) {
    s.in.push_back(x[static_cast<std::size_t>(a + 2)]);
    s.out.push_back(grid[static_cast<std::size_t>(a + 1)]);
    check(s.in.back() > 0, "X has nothing to sample: ", x);
  }
  return s;
}

}  // namespace tessera
