#pragma once
// The one loop that copies between strided layouts. Transpose, Slice, Expand, Concat, Split, Tile and Gather of one
// index are readings of it. Thread rule: the call is parallel inside; distinct calls are independent.
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/shape.h"

namespace tessera {

// to[i . to_strides] = from[i . from_strides] for every index i of `dims`, at the speed of memory where one of the
// layouts allows it: adjacent axes are merged, contiguous runs are copied whole, a swap of the innermost axes goes in
// tiles. Strides are in elements; those of `from` may be 0 or negative. The pointers are the addresses of index 0. The
// regions must not overlap, and no two indices may write one element.
void strided_copy(DType dtype, const Shape& dims, const void* from, const Shape& from_strides, void* to,
                  const Shape& to_strides);

}  // namespace tessera
