#include "ops/slice_range.h"

#include <algorithm>

namespace tessera {

SliceRange slice_range(const Shape& x, const Tensor& starts, const Tensor& ends, const Tensor* axes,
                       const Tensor* steps) {
  const Shape start = integers(starts), end = integers(ends);
  check(starts.rank() == 1 && start.size() == end.size(), "starts and ends must be vectors of one length");
  check(!steps || static_cast<std::size_t>(steps->size()) == start.size(), "steps must be as long as starts");
  check(!axes || static_cast<std::size_t>(axes->size()) == start.size(), "axes must be as long as starts");
  check(axes || start.size() <= x.size(), "starts has ", start.size(), " entries for an input of rank ", x.size());
  Axes at;
  if (axes)
    at = normal_axes(integers(*axes), x.rank());
  else
    for (std::size_t i = 0; i < start.size(); ++i) at.push_back(static_cast<std::int64_t>(i));
  const Shape by = steps ? integers(*steps) : Shape(start.size(), 1);

  SliceRange r{Shape(x.size(), 0), Shape(x.size(), 1), x};
  for (std::size_t i = 0; i < at.size(); ++i) {
    const auto a = static_cast<std::size_t>(at[i]);
    const std::int64_t dim = x[a], step = by[i];
    check(step != 0, "a step of 0");
    const auto from_end = [dim](std::int64_t index) { return index < 0 ? index + dim : index; };
    const std::int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? dim : dim - 1;
    const std::int64_t first = std::clamp<std::int64_t>(from_end(start[i]), 0, std::max<std::int64_t>(highest, 0));
    const std::int64_t last = std::clamp(from_end(end[i]), lowest, std::max(lowest, highest));
    const std::int64_t span = step > 0 ? last - first : first - last;
    const std::uint64_t stride = step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
    r.size[a] =
        dim == 0 || span <= 0 ? 0 : static_cast<std::int64_t>((static_cast<std::uint64_t>(span) - 1) / stride) + 1;
    r.first[a] = r.size[a] == 0 ? 0 : first;
    r.step[a] = r.size[a] <= 1 ? 1 : step;  // a huge step over one element must not overflow
  }
  return r;
}

SlicePlace slice_place(const Shape& x, const SliceRange& range) {
  SlicePlace place{0, row_major_strides(x)};
  for (std::size_t a = 0; a < x.size(); ++a) {
    place.offset += range.first[a] * place.strides[a];
    place.strides[a] *= range.step[a];
  }
  return place;
}

}  // namespace tessera
