#pragma once
// Which elements of X a point of a grid is made of, and with which weights: GridSample and its gradient. A point is the
// product of its axes: each has a few taps, and every combination of them is one of the point.
#include <array>
#include <cmath>

#include "runtime/op/context.h"
#include "runtime/op/scratch.h"

namespace tessera {

inline constexpr List<AttributeDef, 40> grid_sampling_attributes = {
    {"align_corners", AttributeType::integer, 0,
     "1: -1 and 1 are the middles of the outermost elements, not their edges"},
    {"mode", AttributeType::text, "linear", "the kernel; cubic is that of Keys 1981, a = -0.75",
     "nearest|linear|cubic"},
    {"padding_mode", AttributeType::text, "zeros", "what stands outside of X", "zeros|border|reflection"}};

struct GridSampling {
  // As the attributes' choices.
  enum class Mode { nearest, linear, cubic } mode;
  enum class Padding { zeros, border, reflection } padding;
  bool align_corners;
  std::int64_t batch, channels;
  Shape in, out;  // without batch and channels; equally many axes

  std::int64_t axis_taps() const { return mode == Mode::nearest ? 1 : mode == Mode::linear ? 2 : 4; }
  std::int64_t taps() const {
    std::int64_t n = 1;
    for (int a = 0; a < in.rank(); ++a) n *= axis_taps();
    return n;
  }
  Shape y_shape() const;
};

// From attributes and the shapes of X [N C in...] and grid [N out... axes], checked.
GridSampling grid_sampling(const AttributeReader& attr, const Shape& x, const Shape& grid);

// The taps of up to `points` points in C, f32 or f64, their slopes on request. Thread rule: one object per thread.
template <class C>
class GridTaps {
 public:
  static constexpr std::int64_t points = 256;

  explicit GridTaps(const GridSampling& s, bool with_slopes = false)
      : s_(s),
        axes_(s.in.rank()),
        place_(s.taps() * points),
        weight_(s.taps() * points),
        slope_(with_slopes ? axes_ * s.taps() * points : 0),
        with_slopes_(with_slopes) {}

  // `grid`: n points, each with a number per axis, the last axis first.
  void find(const C* grid, std::int64_t n) {
    for (std::int64_t p = 0; p < n; ++p) find_point(grid + p * axes_, p);
  }
  // Of tap t: where it lies in a channel of X, -1 for a zero outside; its weight; and the derivative of that by number
  // `a` of the point.
  const std::int64_t* place(std::int64_t t) const { return place_.data() + t * points; }
  const C* weight(std::int64_t t) const { return weight_.data() + t * points; }
  const C* slope(std::int64_t a, std::int64_t t) const { return slope_.data() + (a * s_.taps() + t) * points; }

 private:
  struct Axis {
    std::int64_t at[4];
    C weight[4], slope[4];
  };

  void find_point(const C* numbers, std::int64_t p) {
    std::array<Axis, 4> axes;
    for (std::int64_t a = 0; a < axes_; ++a)
      axes[static_cast<std::size_t>(a)] = find_axis(numbers[axes_ - 1 - a], s_.in[static_cast<std::size_t>(a)]);
    const std::int64_t each = s_.axis_taps(), taps = s_.taps();
    for (std::int64_t t = 0; t < taps; ++t) {
      std::int64_t place = 0;
      C weight = 1;
      for (std::int64_t a = 0, rest = taps / each; a < axes_; ++a, rest /= each) {
        const Axis& axis = axes[static_cast<std::size_t>(a)];
        const std::int64_t i = t / rest % each;
        place = place < 0 || axis.at[i] < 0 ? -1 : place * s_.in[static_cast<std::size_t>(a)] + axis.at[i];
        weight *= axis.weight[i];
      }
      place_[t * points + p] = place;
      weight_[t * points + p] = weight;
      for (std::int64_t by = 0; with_slopes_ && by < axes_; ++by) {
        C slope = 1;
        for (std::int64_t a = 0, rest = taps / each; a < axes_; ++a, rest /= each) {
          const Axis& axis = axes[static_cast<std::size_t>(a)];
          slope *= a == axes_ - 1 - by ? axis.slope[t / rest % each] : axis.weight[t / rest % each];
        }
        slope_[(by * taps + t) * points + p] = slope;
      }
    }
  }

  // x mirrored at `low` and `high` until it lies between them; `sign` is the derivative.
  static C reflected(C x, C low, C high, C& sign) {
    const C range = high - low;
    if (range <= 0) return sign = 0, C(0);
    const bool below = x < low;
    const C beyond = below ? low - x : x - high, times = std::floor(beyond / range), rest = beyond - times * range;
    const bool even = std::fmod(times, C(2)) == 0;
    sign = even ? C(-1) : C(1);
    return below == even ? low + rest : high - rest;
  }

  std::int64_t inside(C x, std::int64_t size, C low, C high) const {
    if (s_.padding == GridSampling::Padding::zeros)
      return x >= 0 && x < static_cast<C>(size) ? static_cast<std::int64_t>(x) : -1;
    C sign = 0;
    if (s_.padding == GridSampling::Padding::reflection && (x < low || x > high)) x = reflected(x, low, high, sign);
    return static_cast<std::int64_t>(std::clamp<C>(x, 0, static_cast<C>(size - 1)));
  }

  // The taps of one number of a point. What is too far to count is taken for far outside on its side, NaN for below.
  Axis find_axis(C number, std::int64_t size) const {
    constexpr C far = 0x1p40f;
    const C n = static_cast<C>(size), low = s_.align_corners ? C(0) : C(-0.5),
            high = low + n - (s_.align_corners ? C(1) : C(0));
    C x = s_.align_corners ? (number + 1) / 2 * (n - 1) : ((number + 1) * n - 1) / 2, slope = (high - low) / 2;
    if (s_.mode == GridSampling::Mode::nearest) x = std::nearbyint(x);
    if (!(std::abs(x) < far)) x = x > 0 ? far : -far;
    if (x < low || x > high) {
      C sign = 1;
      if (s_.padding == GridSampling::Padding::border) x = std::clamp<C>(x, 0, n - 1), sign = 0;
      if (s_.padding == GridSampling::Padding::reflection) x = reflected(x, low, high, sign);
      slope *= sign;
    }
    Axis axis{};
    if (s_.mode == GridSampling::Mode::nearest) {
      axis.at[0] = inside(std::nearbyint(x), size, low, high);
      axis.weight[0] = 1;
      return axis;
    }
    const C base = std::floor(x), f = x - base, g = 1 - f;
    if (s_.mode == GridSampling::Mode::linear) {
      axis = {{}, {g, f}, {-slope, slope}};
    } else {
      constexpr C a = -0.75;
      const auto near = [](C d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
      const auto near_slope = [](C d) { return (3 * (a + 2) * d - 2 * (a + 3)) * d; };
      const auto wide = [](C d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
      const auto wide_slope = [](C d) { return (3 * a * d - 10 * a) * d + 8 * a; };
      axis = {{},
              {wide(f + 1), near(f), near(g), wide(g + 1)},
              {slope * wide_slope(f + 1), slope * near_slope(f), -slope * near_slope(g), -slope * wide_slope(g + 1)}};
    }
    const C first = s_.mode == GridSampling::Mode::linear ? base : base - 1;
    for (std::int64_t i = 0; i < s_.axis_taps(); ++i) axis.at[i] = inside(first + static_cast<C>(i), size, low, high);
    return axis;
  }

  const GridSampling& s_;
  const std::int64_t axes_;
  const Scratch<std::int64_t> place_;
  const Scratch<C> weight_, slope_;
  const bool with_slopes_;
};

// The grid in the type of the calculation.
template <class C>
Tensor grid_as(const Tensor& grid) {
  return grid.dtype() == dtype_of<C> ? grid : converted(grid, dtype_of<C>);
}

}  // namespace tessera
