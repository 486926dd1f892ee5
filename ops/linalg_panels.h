#pragma once
// f32 products of large matrices by a kernel of our own: B is packed, C built in registers.
#include "ops/linalg.h"

namespace tessera {

// Whether this product is large enough, of a form the kernel takes (A not transposed, beta 1 and an addend with
// adjacent columns), and the CPU has the registers. By sizes only.
bool suits_panels(const Product& p);

// `product` for those. Split over run_parallel by sizes only.
void panel_product(const Product& p, const float* a, const float* b, float* c);

}  // namespace tessera
