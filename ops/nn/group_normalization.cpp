#include "ops/normalize_groups.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const std::int64_t groups = c.attr.integer("num_groups");
  check(c.rank(0) >= 2, "X must be [N x C x D1 x ...], got ", c.in(0));
  const std::int64_t channels = c.in(0)[1];
  check(groups > 0 && channels % groups == 0, "num_groups ", groups, " does not divide ", channels, " channels");
  channels_normalized(c);
}

void kernel(const KernelContext& k) { normalize_groups(k, k.attr.integer("num_groups")); }

std::vector<ValueId> gradient(GradContext& g) { return normalize_groups_gradient(g, g.attr().integer("num_groups")); }

// Before 21, scale and bias were given per group; now per channel: repeat each C / num_groups times.
void per_channel(RewriteContext& c) {
  check(c.in.size() == 3, "needs inputs X, scale and bias");
  auto& b = c.build;
  const ValueId number = b.ints({c.attr().integer("num_groups")});
  const ValueId channels = b.node("Gather", {b.node("Shape", {c.in[0]}), b.ints({1})});
  const ValueId table = b.node("Concat", {number, b.node("Div", {channels, number})}, {{"axis", std::int64_t{0}}});
  for (const std::size_t i : {1, 2}) {
    const ValueId column = b.node("Reshape", {c.in[i], b.ints({-1, 1})});
    c.in[i] = b.node("Reshape", {b.node("Expand", {column, table}), b.ints({-1})});
  }
}

}  // namespace

extern constinit const OpDef op_group_normalization = define({
    .name = "GroupNormalization",
    .since = 21,
    .introduced = 18,
    .doc = "Y = scale * (X - mean) / sqrt(variance + epsilon) + bias, statistics per instance and group of channels.",
    .source = "ONNX GroupNormalization-21; Wu & He 2018, arXiv:1803.08494",
    .inputs = {{"X", "T", "[N x C x D1 x ...]"}, {"scale", "T", "[C]"}, {"bias", "T", "[C]"}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"num_groups", AttributeType::integer, required, "divides C"},
                   {"epsilon", AttributeType::real, 1e-5f, "added to the variance"},
                   {"stash_type", AttributeType::integer, 1, "type of the statistics; they are f32 or wider here"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .in_place = {{0, 0}},
    .flops = normalize_groups_flops,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{21, per_channel}},
    .examples = {"{{{1, 1}, {3, 3}, {2, 6}, {2, 6}}}; {1, 1, 1, 2}; {0, 0, 1, 0}; num_groups=2; epsilon=0 -> "
                 "{{{-1, -1}, {1, 1}, {0, 2}, {-2, 2}}}"},
});

}  // namespace tessera
