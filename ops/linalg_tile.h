#pragma once
// What linalg.cpp asks of a library: one product of a piece, on the calling thread alone.
#include <cstdint>

#include "runtime/tensor/half.h"

namespace tessera {

// C = alpha A B + (accumulate ? C : 0); strides and flags as in MatrixLayout. m, n, k >= 1.
struct Tile {
  std::int64_t m, n, k;
  std::int64_t a_stride, b_stride, c_stride;
  bool a_transposed, b_transposed;
  float alpha;
  bool accumulate;
};

// Eigen. Integers are given as unsigned: wrapping is defined there, and the bits are those of the signed product.
void eigen_tile(const Tile&, const float* a, const float* b, float* c);
void eigen_tile(const Tile&, const double* a, const double* b, double* c);
void eigen_tile(const Tile&, const std::uint32_t* a, const std::uint32_t* b, std::uint32_t* c);
void eigen_tile(const Tile&, const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* c);

// oneDNN, with OpenMP held to one thread for the call (the setting of the calling thread is restored).
void onednn_tile(const Tile&, const float* a, const float* b, float* c);

// Whichever of the two is faster at it; Eigen where TESSERA_GEMM asks for it.
void f32_tile(const Tile&, const float* a, const float* b, float* c);

// bf16 operands, summed in f32; c is bf16, rounded once, or f32. alpha must be 1; only f32 is accumulated. Only where
// the CPU has instructions for it: elsewhere widening is as fast.
bool multiplies_bf16();
void onednn_tile(const Tile&, const bf16* a, const bf16* b, bf16* c);
void onednn_tile(const Tile&, const bf16* a, const bf16* b, float* c);

}  // namespace tessera
