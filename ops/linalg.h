#pragma once
// The product verb: every matrix product of the runtime goes through here. The libraries behind it (oneDNN, Eigen) are
// seen only by linalg_onednn.cpp and linalg_eigen.cpp; large products of f32 are our own (linalg_panels.h).
//
// Types: f32 by packed panels when large, by Eigen when tiny (always, with TESSERA_GEMM=eigen in the environment), else
// by oneDNN; bf16 by oneDNN where the CPU multiplies bf16, else, like f16, widened to f32 piece by piece; f64, i32,
// i64, u32, u64 by Eigen. Sixteen-bit floats accumulate in f32 and are rounded once; integers wrap.
//
// Thread rule: call from any thread. The work is split over run_parallel by sizes only, so results are bit-identical
// for any number of threads; the libraries run single-threaded inside the tasks. Errors: unsupported for other types.
#include <cstdint>

#include "runtime/tensor/dtype.h"
#include "runtime/tensor/shape.h"

namespace tessera {

// How a matrix of a product lies in memory; all in elements. Rows and columns are those of the stored matrix.
struct MatrixLayout {
  std::int64_t row_stride = 0;  // from one stored row to the next; elements of a row are adjacent
  bool transposed = false;      // stored [columns x rows] of the operand
  Shape batch_strides{};  // one per batch axis, 0 where the operand is broadcast; shorter lists leave out leading axes
};

// C[batch] = alpha A[batch] B[batch] + beta D, with A [m x k], B [k x n], C [m x n]. An empty batch is one product.
// k = 0 gives beta D, or zeros. C must not overlap the operands.
struct Product {
  Shape batch{};
  std::int64_t m = 0, n = 0, k = 0;
  MatrixLayout a{}, b{}, c{};  // c is never transposed, and no batch stride of c is 0 on an axis longer than 1
  float alpha = 1;             // integers: must be 1
  // D, shared by all batches: element (i, j) at addend[i addend_rows + j addend_columns]; strides of 0 broadcast.
  const void* addend = nullptr;
  std::int64_t addend_rows = 0, addend_columns = 0;
  float beta = 1;           // integers: must be 1
  bool accumulate = false;  // add C itself, in place of D

  // 2 m n k per batch: a multiply and an add are two operations.
  double flops() const;
};

// Where batch number `at` (row-major over the batch axes) of an operand starts.
std::int64_t batch_offset(const Shape& batch, const Shape& strides, std::int64_t at);

// Elements are `dtype` in all operands.
void product(DType dtype, const Product& p, const void* a, const void* b, void* c);

// The same with C and D in f32, not rounded; `dtype` is f16 or bf16, alpha 1.
void wide_product(DType dtype, const Product& p, const void* a, const void* b, float* c);

// The element types of `product`.
using ProductTypes = Types<float, double, f16, bf16, std::int32_t, std::int64_t, std::uint32_t, std::uint64_t>;

// Integers are multiplied as unsigned ones: wrapping is defined there, and the bits are the same.
using ProductCarriers = Types<float, double, f16, bf16, std::uint32_t, std::uint64_t>;
inline DType product_carrier(DType t) { return t == DType::i32 ? DType::u32 : t == DType::i64 ? DType::u64 : t; }

}  // namespace tessera
