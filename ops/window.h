#pragma once
// Geometry of windows that slide over the spatial axes of [batch, channels, spatial...]: convolutions and pools.
//
// Output o of an axis reads inputs o stride + tap dilation - begin, tap = 0 .. kernel-1; those outside [0, in) are
// padding.
#include <algorithm>

#include "runtime/op/context.h"

namespace tessera {

inline constexpr std::string_view auto_pads = "NOTSET|VALID|SAME_UPPER|SAME_LOWER";  // choices of auto_pad

struct WindowAxis {
  std::int64_t in = 0, out = 0, kernel = 1, stride = 1, dilation = 1;
  std::int64_t begin = 0, end = 0;  // padding; negative crops

  // Inputs from the first to the last tap.
  std::int64_t extent() const { return (kernel - 1) * dilation + 1; }
  // The outputs [first, last) whose input at `tap` lies inside.
  std::pair<std::int64_t, std::int64_t> inside(std::int64_t tap) const {
    const std::int64_t shift = begin - tap * dilation;
    const auto reach = [&](std::int64_t x) { return x <= 0 ? 0 : std::min(out, (x + stride - 1) / stride); };
    const std::int64_t first = reach(shift);
    return {first, std::max(first, reach(in + shift))};
  }
  // The taps [first, last) of output `o` whose input lies in [0, limit).
  std::pair<std::int64_t, std::int64_t> taps(std::int64_t o, std::int64_t limit) const {
    const std::int64_t start = o * stride - begin;
    const auto reach = [&](std::int64_t x) { return x <= 0 ? 0 : std::min(kernel, (x + dilation - 1) / dilation); };
    const std::int64_t first = reach(-start);
    return {first, std::max(first, reach(limit - start))};
  }
};
using Window = InlineVector<WindowAxis, 3>;

// Attributes strides, dilations, pads (begins, then ends) and auto_pad, for these kernel dims; `out` is not set yet,
// and pads of auto_pad neither. Error(bad_input) where a list has another length or a value makes no sense.
Window read_window(const AttributeReader& attr, std::span<const std::int64_t> in, std::span<const std::int64_t> kernel);

// The window of Conv: out = floor((in + begin + end - extent) / stride) + 1; SAME_UPPER and SAME_LOWER pad such that
// out = ceil(in / stride), the odd one at the end or at the beginning; VALID pads nothing.
Window convolution_window(const AttributeReader& attr, std::span<const std::int64_t> in,
                          std::span<const std::int64_t> kernel);

// The window of a pool, whose kernel is the attribute kernel_shape and whose pads are 0 or more, but less than a
// window. Sizes are those of Conv; with the attribute ceil_mode (which auto_pad makes no use of) out is rounded up, as
// long as the last window starts before the end of the input: it may reach beyond the padding.
Window pooling_window(const AttributeReader& attr, std::span<const std::int64_t> in);

// The window of ConvTranspose, whose input is the `out` of the window and whose result is its `in`: in = stride (out -
// 1) + output_padding + extent - begin - end. output_shape, or SAME_* (in = out stride), sets `in`, and pads follow
// from it.
Window transposed_window(const AttributeReader& attr, std::span<const std::int64_t> out,
                         std::span<const std::int64_t> kernel);

// The window written back as attributes kernel_shape, strides, dilations and pads, for the nodes of a gradient.
Attributes window_attributes(const Window& window);

inline Shape ins(const Window& w) {
  Shape s;
  for (const auto& axis : w) s.push_back(axis.in);
  return s;
}
inline Shape outs(const Window& w) {
  Shape s;
  for (const auto& axis : w) s.push_back(axis.out);
  return s;
}
inline Shape kernels(const Window& w) {
  Shape s;
  for (const auto& axis : w) s.push_back(axis.kernel);
  return s;
}

}  // namespace tessera
