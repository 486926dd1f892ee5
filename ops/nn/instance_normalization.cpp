#include <algorithm>

#include "ops/normalize_groups.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check(c.rank(0) >= 3, "input must be [N x C x D1 x ...], got ", c.in(0));
  channels_normalized(c);
}

// As many groups as channels; one that is empty where there are none.
std::int64_t groups(const Shape& x) { return std::max<std::int64_t>(x[1], 1); }

void kernel(const KernelContext& k) { normalize_groups(k, groups(k.in(0).shape())); }

std::vector<ValueId> gradient(GradContext& g) { return normalize_groups_gradient(g, groups(*g.shape(g.in(0)))); }

}  // namespace

extern constinit const OpDef op_instance_normalization = define({
    .name = "InstanceNormalization",
    .since = 22,
    .doc = "output = scale * (input - mean) / sqrt(variance + epsilon) + B, statistics per instance and channel.",
    .source = "ONNX InstanceNormalization-22; Ulyanov et al. 2016, arXiv:1607.08022",
    .inputs = {{"input", "T", "[N x C x D1 x ...]"}, {"scale", "T", "[C]"}, {"B", "T", "[C]"}},
    .outputs = {{"output", "T", "shape of input"}},
    .attributes = {{"epsilon", AttributeType::real, 1e-5f, "added to the variance"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .in_place = {{0, 0}},
    .flops = normalize_groups_flops,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{1, 3}, {2, 6}}}; {1, 2}; {0, 1}; epsilon=0 -> {{{-1, 1}, {-1, 3}}}"},
});

}  // namespace tessera
