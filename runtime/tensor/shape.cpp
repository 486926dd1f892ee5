#include "runtime/tensor/shape.h"

#include <algorithm>

namespace tessera {

std::ostream& operator<<(std::ostream& o, const Shape& s) {
  o << '[';
  for (std::size_t i = 0; i < s.size(); ++i) o << (i ? "x" : "") << s[i];
  return o << ']';
}

std::int64_t element_count(std::span<const std::int64_t> dims) {
  constexpr std::int64_t limit = std::int64_t{1} << 47;
  bool empty = false;
  std::int64_t n = 1;
  for (const auto d : dims) {
    check(d >= 0, "negative dimension in shape ", Shape(dims));
    empty = empty || d == 0;
    check(d == 0 || n <= limit / d, "shape ", Shape(dims), " has too many elements");
    n *= std::max<std::int64_t>(d, 1);
  }
  return empty ? 0 : n;
}

Shape row_major_strides(const Shape& shape) {
  Shape strides(shape.size());
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

int normal_axis(std::int64_t axis, int rank, std::string_view what) {
  check(-rank <= axis && axis < rank, what, " ", axis, " is outside [", -rank, ", ", rank - 1, "] for rank ", rank);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Axes normal_axes(std::span<const std::int64_t> axes, int rank) {
  Axes out;
  for (const auto a : axes) {
    const int n = normal_axis(a, rank, "axes:");
    for (const auto other : out) check(other != n, "axis ", n, " is given twice");
    out.push_back(n);
  }
  return out;
}

Shape broadcast(const Shape& a, const Shape& b) {
  if (a == b) return a;
  const Shape &longer = a.size() >= b.size() ? a : b, &shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  const std::size_t skip = longer.size() - shorter.size();
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    const auto x = longer[skip + i], y = shorter[i];
    check(x == y || x == 1 || y == 1, "shapes ", a, " and ", b, " do not broadcast");
    out[skip + i] = x == 1 ? y : x;
  }
  return out;
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  const std::size_t skip = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i)
    if (from[i] != 1 && from[i] != to[skip + i]) return false;
  return true;
}

Shape broadcast_strides(const Shape& from, const Shape& to) {
  const Shape dense = row_major_strides(from);
  const std::size_t skip = to.size() - from.size();
  Shape strides(to.size());
  for (std::size_t i = 0; i < from.size(); ++i) strides[skip + i] = from[i] == 1 && to[skip + i] != 1 ? 0 : dense[i];
  return strides;
}

}  // namespace tessera
