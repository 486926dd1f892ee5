#pragma once
// f32 products of large matrices by a kernel of our own, for CPUs with 32 vector registers. What it has over a library
// that multiplies on one thread: B is packed once, for all tasks. So tasks can be small, and dozens of cores share one
// product.
#include "ops/linalg.h"

namespace tessera {

// Whether this product is large enough and its addend one that sums can begin at (beta 1, adjacent columns). By sizes
// only.
bool suits_panels(const Product& p);

// `product` for those, no batch empty. Split over run_parallel by sizes only.
void panel_product(const Product& p, const float* a, const float* b, float* c);

}  // namespace tessera
