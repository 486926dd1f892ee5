#include "ops/attention/operand_view.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace tessera {
namespace {

// Axes of more than one element: stride, then extent. The last axis is D.
std::vector<std::array<std::int64_t, 2>> moving_axes(const OperandView& v) {
  std::vector<std::array<std::int64_t, 2>> axes;
  const std::int64_t dims[] = {v.batch, v.heads, v.length};
  for (std::size_t i = 0; i < 3; ++i)
    if (dims[i] > 1) axes.push_back({v.strides[i], dims[i]});
  if (v.dim > 1) axes.push_back({1, v.dim});
  return axes;
}

}  // namespace

OperandView onnx_view(const Shape& s, std::int64_t heads, const char* what, const char* attribute) {
  if (s.rank() == 4) {
    check(heads == 0 || heads == s[1], attribute, " is ", heads, " but ", what, " is ", s);
    return {s[0], s[1], s[2], s[3], 0, {s[1] * s[2] * s[3], s[2] * s[3], s[3]}};
  }
  check(s.rank() == 3, what, " must be [B x L x H*D] or [B x H x L x D], got ", s);
  check(heads > 0, what, " is 3-D, so attribute '", attribute, "' must be given");
  check(s[2] % heads == 0, attribute, " ", heads, " does not divide the last dim of ", what, " ", s);
  const std::int64_t dim = s[2] / heads;
  return {s[0], heads, s[1], dim, 0, {s[1] * s[2], dim, s[2]}};
}

OperandView read_view(std::span<const std::int64_t> n, const Shape& tensor, const char* attribute) {
  check(n.size() == 8, attribute, " must be 8 integers [B, H, L, D, offset, strides of B, H, L], got ", n.size());
  OperandView v{n[0], n[1], n[2], n[3], n[4], {n[5], n[6], n[7]}};
  const std::int64_t total = element_count(tensor);
  if (element_count(n.first(4)) == 0) {  // nothing is read
    v.offset = 0;
    return v;
  }
  check(v.offset >= 0 && v.offset < total, attribute, ": offset ", v.offset, " is outside ", tensor);
  // The least and the greatest address, without overflow: each axis moves one of them further out.
  std::int64_t low = v.offset, high = v.offset;
  for (const auto& [stride, extent] : moving_axes(v)) {
    bool inside = stride > -total && stride < total;
    if (inside && stride > 0)
      inside = extent - 1 <= (total - 1 - high) / stride, high += inside ? stride * (extent - 1) : 0;
    if (inside && stride < 0) inside = extent - 1 <= low / -stride, low += inside ? stride * (extent - 1) : 0;
    check(inside, attribute, " reaches outside ", tensor, ": ", extent, " steps of ", stride, " from ", v.offset);
  }
  return v;
}

std::vector<std::int64_t> numbers_of(const OperandView& v) {
  return {v.batch, v.heads, v.length, v.dim, v.offset, v.strides[0], v.strides[1], v.strides[2]};
}

bool without_repeats(const OperandView& v) {
  auto axes = moving_axes(v);
  for (auto& axis : axes) axis[0] = std::abs(axis[0]);
  std::sort(axes.begin(), axes.end());
  std::int64_t reach = 1;  // elements from the first to the last that the smaller axes touch
  for (const auto& [stride, extent] : axes) {
    if (stride < reach) return false;
    reach += stride * (extent - 1);
  }
  return true;
}

bool is_rearrangement(const OperandView& v, std::int64_t elements) {
  if (v.size() != elements || (elements > 0 && v.offset != 0)) return false;
  if (elements == 0) return true;
  auto axes = moving_axes(v);
  std::sort(axes.begin(), axes.end());
  std::int64_t next = 1;
  for (const auto& [stride, extent] : axes) {
    if (stride != next) return false;
    next *= extent;
  }
  return next == elements;
}

}  // namespace tessera
