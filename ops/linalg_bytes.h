#pragma once
// Products of bytes, each less a zero point: what quantised models multiply.
//
// Pieces of the operands are widened to f32, 256 of the inner dim at a time. Their products are whole numbers up to
// 255^2, and sums of 256 of them stay below 2^24, up to which f32 holds all whole numbers: they are exact, in any
// order, at the speed of f32 products. Such sums are added up in i32, which wraps.
//
// Thread rule: as linalg.h.
#include <cstdint>
#include <span>

#include "ops/linalg.h"

namespace tessera {

// The element types of their operands.
inline constexpr DTypeSet byte_types = set_of(Types<std::int8_t, std::uint8_t>{});

struct ByteMatrix {
  const void* data;
  bool is_signed;                // i8, else u8
  std::span<const float> zeros;  // none: 0; one; one per row of A (row i has zeros[i mod their number]), column of B
};

// C[batch] = (A[batch] - zeros) (B[batch] - zeros), modulo 2^32. Of p: sizes, strides and batches; nothing is
// transposed, and alpha, addend and accumulate are not looked at. k = 0 gives zeros.
void byte_product(const Product& p, const ByteMatrix& a, const ByteMatrix& b, std::int32_t* c);

}  // namespace tessera
