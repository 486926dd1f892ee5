#pragma once
// f32 products of large matrices by a kernel of our own, for CPUs with AVX2 or AVX-512. What it has over a library that
// multiplies on one thread: B is packed once, for all tasks. So tasks can be small, and dozens of cores share one
// product: 4096 x 1536 x 1536 makes 256 tasks, where pieces that each pack anew must be so large that there are 4.
#include "ops/linalg.h"

namespace tessera {

// Whether this product is large enough and its addend one that sums can begin at (beta 1, adjacent columns). By sizes
// only.
bool suits_panels(const Product& p);

// `product` for those, no batch empty. Split over run_parallel by sizes only.
void panel_product(const Product& p, const float* a, const float* b, float* c);

}  // namespace tessera
