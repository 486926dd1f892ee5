#include "ops/resampling.h"

#include <cmath>

namespace tessera {
namespace {

const Tensor* given(const Tensor* t) { return t && t->size() > 0 ? t : nullptr; }

void set_by_sizes(std::vector<ResizedAxis>& axes, const Shape& sizes, std::string_view policy) {
  check(sizes.size() == axes.size(), "sizes has ", sizes.size(), " entries for ", axes.size(), " axes");
  double common = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    check(sizes[i] >= 0, "sizes has an entry of ", sizes[i]);
    check(axes[i].in > 0 || sizes[i] == 0, "axis ", axes[i].axis, " is empty and cannot grow");
    axes[i].out = sizes[i];
    axes[i].by_size = true;
    axes[i].scale = axes[i].in > 0 ? static_cast<double>(sizes[i]) / static_cast<double>(axes[i].in) : 1;
    const bool better = policy == "not_larger" ? axes[i].scale < common : axes[i].scale > common;
    if (i == 0 || better) common = axes[i].scale;
  }
  if (policy == "stretch") return;
  for (auto& a : axes) {
    const double size = std::floor(common * static_cast<double>(a.in) + 0.5);
    check(size < 0x1p62, "axis ", a.axis, " becomes too large");
    a.scale = common;
    a.by_size = false;
    a.out = static_cast<std::int64_t>(size);
  }
}

void set_by_scales(std::vector<ResizedAxis>& axes, const std::vector<double>& scales) {
  check(scales.size() == axes.size(), "scales has ", scales.size(), " entries for ", axes.size(), " axes");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    check(scales[i] > 0 && scales[i] < 0x1p62, "scales has an entry of ", scales[i]);
    // In f32, as scales are: 3 x 1.6666666 is 5.
    const float part = static_cast<float>(axes[i].end - axes[i].start);
    const float size = std::floor(static_cast<float>(axes[i].in) * part * static_cast<float>(scales[i]));
    check(size >= 0 && size < 0x1p62f, "axis ", axes[i].axis, " becomes too large or negative");
    axes[i].scale = scales[i];
    axes[i].out = static_cast<std::int64_t>(size);
  }
}

// Where output x lies on the input axis: ONNX Resize-19, coordinate_transformation_mode.
double coordinate(const ResizedAxis& a, double x, std::string_view mode) {
  const auto in = static_cast<double>(a.in), out = static_cast<double>(a.out);
  const double length = a.by_size ? out : a.scale * in;  // not rounded
  const auto divided = [&](double v) { return a.by_size ? v * in / out : v / a.scale; };
  if (mode == "asymmetric") return divided(x);
  if (mode == "align_corners") return a.out == 1 ? 0 : x * (in - 1) / (length - 1);
  if (mode == "tf_half_pixel_for_nn") return divided(x + 0.5);
  if (mode == "pytorch_half_pixel" && a.out == 1) return 0;
  if (mode == "half_pixel_symmetric") return in / 2 * (1 - out / length) + divided(x + 0.5) - 0.5;
  if (mode == "tf_crop_and_resize")
    return a.out == 1 ? 0.5 * (a.start + a.end) * (in - 1)
                      : a.start * (in - 1) + x * (a.end - a.start) * (in - 1) / (out - 1);
  return divided(x + 0.5) - 0.5;
}

double nearest(double x, std::string_view mode) {
  if (mode == "floor") return std::floor(x);
  if (mode == "ceil") return std::ceil(x);
  return mode == "round_prefer_ceil" ? std::floor(x + 0.5) : std::ceil(x - 0.5);
}

// The kernels: a triangle over (-1, 1), or the cubic convolution of Keys (1981) over (-2, 2).
double weight(double x, bool cubic, double a) {
  x = std::abs(x);
  if (!cubic) return std::max(1 - x, 0.0);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

}  // namespace

std::vector<ResizedAxis> resized_axes(const Shape& x, const AttributeReader& attr, const ResizeRequest& request) {
  const Tensor *scales = given(request.scales), *sizes = given(request.sizes);
  std::vector<ResizedAxis> axes;
  const auto add = [&](std::int64_t a) {
    axes.push_back({});
    axes.back().axis = static_cast<int>(a);
    axes.back().in = axes.back().out = x[static_cast<std::size_t>(a)];
  };
  if (attr.has("axes"))
    for (const auto a : normal_axes(attr.integers("axes"), x.rank())) add(a);
  else
    for (int a = 0; a < x.rank(); ++a) add(a);
  if (axes.empty()) return axes;
  check((scales != nullptr) != (sizes != nullptr), "give either scales or sizes");
  if (attr.text("coordinate_transformation_mode") == "tf_crop_and_resize") {
    check(given(request.roi) != nullptr, "tf_crop_and_resize needs roi");
    const auto roi = doubles(*request.roi);
    check(roi.size() == 2 * axes.size(), "roi has ", roi.size(), " entries for ", axes.size(), " axes");
    for (std::size_t i = 0; i < axes.size(); ++i) {
      check(std::abs(roi[i]) < 1e6 && std::abs(roi[i + axes.size()]) < 1e6, "roi is out of range");
      axes[i].start = roi[i];
      axes[i].end = roi[i + axes.size()];
    }
  }
  if (sizes)
    set_by_sizes(axes, integers(*sizes), attr.text("keep_aspect_ratio_policy"));
  else
    set_by_scales(axes, doubles(*scales));
  return axes;
}

Resampling resampling(const ResizedAxis& a, const AttributeReader& attr) {
  const auto mode = attr.text("mode"), coordinates = attr.text("coordinate_transformation_mode");
  const bool cubic = mode == "cubic", is_nearest = mode == "nearest", excludes = attr.flag("exclude_outside");
  // An axis that shrinks spreads the kernel over 1 / scale times as many elements.
  const double stretch = attr.flag("antialias") && !is_nearest ? std::min(a.scale, 1.0) : 1;
  const double reach = std::floor(-(cubic ? 2 : 1) / stretch) + 1;  // of the first tap, from floor(coordinate)
  check(reach > -0x1p31, "scale ", a.scale, " is too small to resample with antialias");
  const auto begin = is_nearest ? 0 : static_cast<std::int64_t>(reach), end = is_nearest ? 1 : 2 - begin;
  const std::int64_t taps = std::min(end - begin, a.in);
  Resampling r{a.axis,
               a.in,
               a.out,
               taps,
               std::vector<std::int64_t>(static_cast<std::size_t>(a.out)),
               std::vector<double>(static_cast<std::size_t>(element_count(Shape{a.out, taps}))),
               {}};
  if (coordinates == "tf_crop_and_resize") r.outside.resize(static_cast<std::size_t>(a.out));
  for (std::int64_t j = 0; j < a.out; ++j) {
    double x = coordinate(a, static_cast<double>(j), coordinates);
    if (!r.outside.empty() && (x < 0 || x > static_cast<double>(a.in - 1))) {
      r.outside[static_cast<std::size_t>(j)] = true;
      continue;
    }
    x = std::clamp(is_nearest ? nearest(x, attr.text("nearest_mode")) : x, -0x1p61, 0x1p61);
    const auto whole = static_cast<std::int64_t>(std::floor(x));
    const std::int64_t first = std::clamp<std::int64_t>(whole + begin, 0, a.in - taps);
    r.first[static_cast<std::size_t>(j)] = first;
    double* w = &r.weights[static_cast<std::size_t>(j * taps)];
    double sum = 0;
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t at = whole + t;
      if (excludes && !is_nearest && (at < 0 || at >= a.in)) continue;
      const double part =
          is_nearest ? 1 : weight((static_cast<double>(at) - x) * stretch, cubic, attr.real("cubic_coeff_a"));
      w[std::clamp<std::int64_t>(at, 0, a.in - 1) - first] += part;  // beyond the edge: the edge
      sum += part;
    }
    if ((excludes || stretch < 1) && sum != 0)
      for (std::int64_t t = 0; t < taps; ++t) w[t] /= sum;
  }
  return r;
}

}  // namespace tessera
