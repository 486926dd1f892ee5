#include "ops/strided_copy.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

// Output axis i is input axis perm[i]; reversed when the attribute is absent.
Axes permutation(const AttributeReader& attr, int rank) {
  Axes perm;
  if (!attr.has("perm")) {
    for (int a = rank; a-- > 0;) perm.push_back(a);
    return perm;
  }
  const auto given = attr.integers("perm");
  check(given.size() == static_cast<std::size_t>(rank), "perm has ", given.size(), " entries for rank ", rank);
  for (const auto a : given) check(a >= 0, "perm has an entry of ", a, "; axes of Transpose do not count from the end");
  return normal_axes(given, rank);
}

void shape(ShapeContext& c) {
  Shape y;
  for (const auto a : permutation(c.attr, c.rank(0))) y.push_back(c.in(0)[static_cast<std::size_t>(a)]);
  c.out(0, std::move(y));
}

bool keeps_order(const ShapeContext& c) {
  const Axes perm = permutation(c.attr, c.rank(0));
  return std::is_sorted(perm.begin(), perm.end());
}

void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  Tensor& y = k.out(0);
  const Shape dense = row_major_strides(x.shape());
  Shape from;
  for (const auto a : permutation(k.attr, x.rank())) from.push_back(dense[static_cast<std::size_t>(a)]);
  strided_copy(x.dtype(), y.shape(), x.raw(), from, y.raw(), row_major_strides(y.shape()));
}

std::vector<ValueId> gradient(GradContext& g) {
  const Axes perm = permutation(g.attr(), g.shape(g.in(0))->rank());
  std::vector<std::int64_t> inverse(perm.size());
  for (std::size_t i = 0; i < perm.size(); ++i)
    inverse[static_cast<std::size_t>(perm[i])] = static_cast<std::int64_t>(i);
  return {g.node("Transpose", {g.dout(0)}, {{"perm", inverse}})};
}

}  // namespace

extern constinit const OpDef op_transpose = define({
    .name = "Transpose",
    .since = 24,
    .doc = "The axes in another order: output axis i is input axis perm[i].",
    .source = "ONNX Transpose-24",
    .inputs = {{"data", "T", "any shape"}},
    .outputs = {{"transposed", "T", "the dims in the new order"}},
    .attributes = {{"perm", AttributeType::integers, {}, "a permutation of the axes; default: reversed"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .identity_when = keeps_order,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2, 3}, {4, 5, 6}} -> {{1, 4}, {2, 5}, {3, 6}}",
                 "{{{1, 2}, {3, 4}, {5, 6}}}; perm=[1, 0, 2] -> {{{1, 2}}, {{3, 4}}, {{5, 6}}}",
                 "{{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}; perm=[2, 0, 1] -> {{{1, 3}, {5, 7}}, {{2, 4}, {6, 8}}}",
                 "7 -> 7"},
});

}  // namespace tessera
