#include "ops/window.h"

namespace tessera {
namespace {

// Larger numbers are mistakes, and sums of a few of them cannot overflow.
constexpr std::int64_t limit = std::int64_t{1} << 40;

// Entry i of an attribute with one number per axis.
std::int64_t entry(const AttributeReader& attr, std::string_view name, std::size_t i, std::size_t n,
                   std::int64_t fallback, std::int64_t least) {
  const auto list = attr.integers(name);
  if (list.empty()) return fallback;
  check(list.size() == n, name, " has ", list.size(), " entries where ", n, " are needed");
  check(list[i] >= least && list[i] <= limit, name, " has an entry of ", list[i]);
  return list[i];
}

bool same(std::string_view auto_pad) { return auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER"; }

// `total` elements of padding; ConvTranspose's odd one is at the end for SAME_UPPER only, and so is Conv's.
void pad(WindowAxis& w, std::int64_t total, bool odd_at_end) {
  w.begin = odd_at_end ? total / 2 : total - total / 2;
  w.end = total - w.begin;
}

// out = ceil(in / stride), as a convolution and a pool have it.
void pad_to_same(WindowAxis& w, std::string_view auto_pad) {
  w.out = (w.in + w.stride - 1) / w.stride;
  pad(w, std::max<std::int64_t>((w.out - 1) * w.stride + w.extent() - w.in, 0), auto_pad == "SAME_UPPER");
}

}  // namespace

Window read_window(const AttributeReader& attr, std::span<const std::int64_t> in,
                   std::span<const std::int64_t> kernel) {
  const std::size_t n = in.size();
  check(kernel.size() == n, "a kernel of rank ", kernel.size(), " for ", n, " spatial axes");
  const auto auto_pad = attr.text("auto_pad");
  Window window;
  for (std::size_t i = 0; i < n; ++i) {
    WindowAxis w;
    w.in = in[i];
    w.kernel = kernel[i];
    check(w.kernel >= 1 && w.kernel <= limit && w.in <= limit, "a kernel of ", w.kernel, " over ", w.in, " elements");
    w.stride = entry(attr, "strides", i, n, 1, 1);
    w.dilation = attr.has("dilations") ? entry(attr, "dilations", i, n, 1, 1) : 1;
    check(w.kernel == 1 || w.dilation <= limit / w.kernel, "dilations has an entry of ", w.dilation);
    if (auto_pad == "NOTSET") {
      w.begin = entry(attr, "pads", i, 2 * n, 0, -limit);
      w.end = entry(attr, "pads", n + i, 2 * n, 0, -limit);
    }
    window.push_back(w);
  }
  return window;
}

Window convolution_window(const AttributeReader& attr, std::span<const std::int64_t> in,
                          std::span<const std::int64_t> kernel) {
  Window window = read_window(attr, in, kernel);
  const auto auto_pad = attr.text("auto_pad");
  for (auto& w : window) {
    if (same(auto_pad)) {
      pad_to_same(w, auto_pad);
      continue;
    }
    const std::int64_t room = w.in + w.begin + w.end - w.extent();
    check(room >= -1, "a window of ", w.extent(), " does not fit into ", w.in, " elements padded by ", w.begin, " and ",
          w.end);
    w.out = room < 0 ? 0 : room / w.stride + 1;
  }
  return window;
}

Window pooling_window(const AttributeReader& attr, std::span<const std::int64_t> in) {
  Window window = read_window(attr, in, attr.integers("kernel_shape"));
  const auto auto_pad = attr.text("auto_pad");
  const bool up = attr.flag("ceil_mode") && auto_pad == "NOTSET";
  for (auto& w : window) {
    check(w.begin >= 0 && w.end >= 0 && w.begin < w.extent() && w.end < w.extent(), "pads ", w.begin, " and ", w.end,
          " of a window of ", w.extent(), "; they must be less than the window, and none negative");
    if (same(auto_pad)) {
      pad_to_same(w, auto_pad);
      continue;
    }
    const std::int64_t padded = w.in + w.begin + w.end, room = padded - w.extent();
    check(room >= -1 || (up && room + w.stride > 0), "a window of ", w.extent(), " does not fit into ", w.in,
          " elements padded by ", w.begin, " and ", w.end);
    w.out = room + (up ? w.stride - 1 : 0) < 0 ? 0 : (room + (up ? w.stride - 1 : 0)) / w.stride + 1;
    if (up && w.out > 0 && (w.out - 1) * w.stride >= w.in + w.begin) --w.out;
  }
  return window;
}

Window transposed_window(const AttributeReader& attr, std::span<const std::int64_t> out,
                         std::span<const std::int64_t> kernel) {
  Window window = read_window(attr, out, kernel);
  const std::size_t n = window.size();
  const auto auto_pad = attr.text("auto_pad");
  auto wanted = attr.integers("output_shape");
  if (wanted.size() == n + 2) wanted = wanted.subspan(2);  // some exporters write batch and channels too
  check(wanted.empty() || wanted.size() == n, "output_shape has ", wanted.size(), " entries for ", n, " spatial axes");
  for (std::size_t i = 0; i < n; ++i) {
    auto& w = window[i];
    w.out = out[i];
    const std::int64_t extra = entry(attr, "output_padding", i, n, 0, 0);
    check(extra < std::max(w.stride, w.dilation) || extra == 0, "output_padding of ", extra, " is no less than stride ",
          w.stride, " and dilation ", w.dilation);
    const std::int64_t strides = w.out > 0 ? std::min(w.stride, limit) * (w.out - 1) : -1;
    check(w.out <= 1 || w.stride <= limit / w.out, "strides has an entry of ", w.stride, " for ", w.out, " elements");
    const std::int64_t full = strides + extra + w.extent();
    if (wanted.empty() && !same(auto_pad)) {
      w.in = w.out == 0 ? 0 : full - w.begin - w.end;
      check(w.in >= 0, "pads ", w.begin, " and ", w.end, " are more than the ", full, " elements there are");
      continue;
    }
    w.in = wanted.empty() ? w.out * w.stride : wanted[i];
    check(w.in >= 0 && w.in <= limit, "output_shape has an entry of ", w.in);
    pad(w, std::max<std::int64_t>(full - w.in, 0), auto_pad == "SAME_UPPER");
  }
  return window;
}

Attributes window_attributes(const Window& window) {
  std::vector<std::int64_t> kernel, strides, dilations, pads;
  for (const auto& w : window) {
    kernel.push_back(w.kernel);
    strides.push_back(w.stride);
    dilations.push_back(w.dilation);
    pads.push_back(w.begin);
  }
  for (const auto& w : window) pads.push_back(w.end);
  return {{"kernel_shape", kernel}, {"strides", strides}, {"dilations", dilations}, {"pads", pads}};
}

}  // namespace tessera
