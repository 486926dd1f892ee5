#pragma once
// What MatMul and its relatives share: numpy.matmul's rules, as one product. Errors: bad_input for shapes that do not
// fit. Pure functions.
#include "ops/linalg.h"
#include "runtime/op/op.h"

namespace tessera {

// The operands as matrices: [k] on the left is [1 x k], [k] on the right is [k x 1]; batch axes broadcast.
struct MatMulShapes {
  Shape a, b, out;
};
MatMulShapes matmul_shapes(const Shape& a, const Shape& b);

Product matmul_product(const Shape& a, const Shape& b);

// Gradients of inputs 0 and 1 where `dy` is that of their product, of the operands' type.
std::vector<ValueId> matmul_gradient(GradContext& g, ValueId dy);

}  // namespace tessera
