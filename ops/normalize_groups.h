#pragma once
// Shared by GroupNormalization and InstanceNormalization, whose groups are single channels. Input 0 is
// [N x C x D1 x ...], its channels are cut into `groups`, 1 or more of the same size; inputs 1 and 2 are a scale and a
// bias per channel; attribute "epsilon" is added to the variances.
#include "runtime/op/context.h"

namespace tessera {

// Shape rule, the groups apart.
void channels_normalized(ShapeContext& c);
// y = scale * (x - mean) / sqrt(variance + epsilon) + bias, mean and variance of each group of each instance.
void normalize_groups(const KernelContext& k, std::int64_t groups);
std::vector<ValueId> normalize_groups_gradient(GradContext& g, std::int64_t groups);
double normalize_groups_flops(const ShapeContext& c);

}  // namespace tessera
