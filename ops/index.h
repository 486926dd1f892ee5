#pragma once
// Indices that come as data: normalised and checked where they are used.
#include <cstdint>

#include "runtime/base/error.h"
#include "runtime/tensor/shape.h"

namespace tessera {

// i in [-size, size) -> [0, size). Error(bad_input) outside.
inline std::int64_t normal_index(std::int64_t i, std::int64_t size) {
  check(-size <= i && i < size, "index ", i, " is outside [", -size, ", ", size - 1, "]");
  return i < 0 ? i + size : i;
}

// Offset in elements of the index tuple `at` (one index per stride) under `dims`.
inline std::int64_t tuple_offset(const std::int64_t* at, std::span<const std::int64_t> dims,
                                 std::span<const std::int64_t> strides, std::size_t n) {
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < n; ++i) offset += normal_index(at[i], dims[i]) * strides[i];
  return offset;
}

// A tensor seen from one axis: [outer, axis, inner].
struct AxisView {
  std::int64_t outer, axis, inner;
  AxisView(const Shape& s, int a) : outer(1), axis(s[static_cast<std::size_t>(a)]), inner(1) {
    for (int i = 0; i < a; ++i) outer *= s[static_cast<std::size_t>(i)];
    for (int i = a + 1; i < s.rank(); ++i) inner *= s[static_cast<std::size_t>(i)];
  }
};

}  // namespace tessera
