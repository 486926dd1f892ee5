#pragma once
// Sums of products of two tensors whose axes carry labels, as in Einstein's notation: the verb below Einsum.
//
// Labels in both operands and in the result are batch axes, labels in both operands only are summed over, labels in one
// operand are its rows or columns. What is summed becomes one batched product (ops/linalg.h) read where the operands
// lie; an operand is copied only when no pair of strides describes it as a matrix. Thread rule: const use is free.
#include "ops/linalg.h"
#include "runtime/base/inline_vector.h"

namespace tessera {

using Labels = InlineVector<int, 8>;

// A tensor read through labels: axis i has dims[i] elements, strides[i] elements apart, and is called labels[i]. The
// labels of one tensor are distinct.
struct Labelled {
  Labels labels{};
  Shape dims{}, strides{};
  int find(int label) const;  // its axis, or -1
};
Labelled row_major(const Labels& labels, const Shape& dims);

// A copy between layouts: see strided_copy.
struct Repacking {
  Shape dims{}, from{}, to{};
};

// out[labels of out] = sum over all other labels of a b. Every label of out is in a or b; a label missing in out is in
// both; an axis of one element counts as missing, so that it broadcasts. `out` has no strides of 0, and is dense where
// nothing is summed.
class Contraction {
 public:
  Contraction(Labelled a, Labelled b, Labelled out);
  // Element types of ops/linalg.h. Errors: those of `product`; run_time when memory for a copy is exhausted.
  void run(DType dtype, const void* a, const void* b, void* out) const;
  double flops() const;
  // How many tensors are copied: 0 to 3.
  int copies() const;

 private:
  struct Groups;
  Groups group(const Labelled& a, const Labelled& b, const Labelled& out, bool split_rows) const;
  void multiply(DType dtype, const void* a, const void* b, void* out) const;
  bool multiplies_only_ = false;  // nothing is summed: a broadcast product, element by element
  bool swapped_ = false;          // C^T = B^T A^T
  Shape dims_{}, a_strides_{}, b_strides_{};
  Product product_{};
  Repacking a_copy_{}, b_copy_{}, out_copy_{};
  bool copies_a_ = false, copies_b_ = false, copies_out_ = false;
};

}  // namespace tessera
