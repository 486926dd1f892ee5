#pragma once
// Which input elements make an output element when an axis is resized, and with which weights: Resize and its gradient.
// Axes are independent of each other: the whole is one linear map per axis.
#include <vector>

#include "runtime/op/context.h"

namespace tessera {

inline constexpr List<AttributeDef, 40> resize_attributes = {
    {"mode", AttributeType::text, "nearest", "the kernel", "nearest|linear|cubic"},
    {"coordinate_transformation_mode", AttributeType::text, "half_pixel", "how places in Y become places in X",
     "half_pixel|half_pixel_symmetric|pytorch_half_pixel|align_corners|asymmetric|tf_half_pixel_for_nn|tf_crop_and_"
     "resize"},
    {"nearest_mode", AttributeType::text, "round_prefer_floor", "nearest: which neighbour",
     "round_prefer_floor|round_prefer_ceil|floor|ceil"},
    {"cubic_coeff_a", AttributeType::real, -0.75f, "a of the cubic kernel (Keys 1981); -0.5 in TensorFlow"},
    {"exclude_outside", AttributeType::integer, 0, "1: weights beyond the edge are dropped and the others scaled up"},
    {"antialias", AttributeType::integer, 0, "1: the kernel of linear and cubic is stretched when an axis shrinks"},
    {"extrapolation_value", AttributeType::real, 0.0f, "tf_crop_and_resize: what stands outside the input"},
    {"keep_aspect_ratio_policy", AttributeType::text, "stretch", "with sizes", "stretch|not_larger|not_smaller"},
    {"axes", AttributeType::integers, {}, "the axes that roi, scales and sizes speak of; default: all"}};

// The inputs of Resize after X; null (or without elements) when not given.
struct ResizeRequest {
  const Tensor *roi = nullptr, *scales = nullptr, *sizes = nullptr;
};

struct ResizedAxis {
  int axis = 0;
  std::int64_t in = 0, out = 0;
  double scale = 1;           // out / in as asked for; what output coordinates are divided by
  bool by_size = false;       // scale is out / in exactly
  double start = 0, end = 1;  // roi
  bool changes() const { return in != out || scale != 1 || start != 0 || end != 1; }
};

// The axes asked for, checked: ONNX Resize-19. Error(bad_input) for sizes and scales at once, or neither, wrong
// lengths, scales that are no positive number, unknown modes.
std::vector<ResizedAxis> resized_axes(const Shape& x, const AttributeReader& attr, const ResizeRequest& request);

// Output j of an axis is the sum over t < taps of weights[j taps + t] input[first[j] + t].
struct Resampling {
  int axis;
  std::int64_t in, out, taps;
  std::vector<std::int64_t> first;
  std::vector<double> weights;
  std::vector<bool> outside;  // tf_crop_and_resize: j shows the extrapolation value, its weights are 0; else empty
};
Resampling resampling(const ResizedAxis& axis, const AttributeReader& attr);

}  // namespace tessera
