#pragma once
// How GatherElements and ScatterElements walk: index tensor and data have one rank; the element at (i, j, k) concerns
// the data at the same place, but along `axis` at the index found there.
#include "ops/index.h"

namespace tessera {

struct ElementRows {
  Shape dims, strides;     // of the indices; of the data, 0 along the axis
  std::int64_t row, step;  // elements per row (the last axis); data elements between neighbours of a row
  std::int64_t axis_size, axis_stride;
  std::int64_t rows = 1;
  std::int64_t rows_apart;  // rows of one block share places of the data, rows of different blocks never do

  ElementRows(const Shape& data, const Shape& indices, int axis) : dims(indices), strides(row_major_strides(data)) {
    const auto a = static_cast<std::size_t>(axis);
    axis_size = data[a];
    axis_stride = strides[a];
    strides[a] = 0;
    row = dims.back();
    step = strides.back();
    rows_apart = 1;
    for (std::size_t i = 0; i + 1 < dims.size(); ++i) {
      rows *= dims[i];
      if (i >= a) rows_apart *= dims[i];
    }
  }
  // The data element at the start of row r, index 0 along the axis.
  std::int64_t base(std::int64_t r) const {
    std::int64_t offset = 0;
    for (std::size_t i = dims.size() - 1; i-- > 0;) {
      offset += r % dims[i] * strides[i];
      r /= dims[i];
    }
    return offset;
  }
  template <class Index>
  std::int64_t offset(std::int64_t base, std::int64_t j, Index at) const {
    return base + j * step + normal_index(at, axis_size) * axis_stride;
  }
};

// Shape rule: indices have the rank of data and, but for the axis, at most its dims.
inline void check_element_indices(const Shape& data, const Shape& indices, std::size_t axis) {
  check(indices.size() == data.size(), "indices have rank ", indices.size(), ", data ", data.size());
  for (std::size_t i = 0; i < data.size(); ++i)
    check(i == axis || indices[i] <= data[i], "indices ", indices, " reach beyond data ", data, " on axis ", i);
}

}  // namespace tessera
