#pragma once
// What ONNX Attention and tessera.attention::dense share: everything but their tables.
#include "runtime/op/context.h"

namespace tessera::dense_attention {

void dtype(const AttributeReader& attr, std::span<const DType> in, std::span<DType> out);
void shape(ShapeContext& c);
double flops(const ShapeContext& c);
void kernel(const KernelContext& k);
// Writes tessera.attention::denseGrad.
std::vector<ValueId> gradient(GradContext& g);

}  // namespace tessera::dense_attention
