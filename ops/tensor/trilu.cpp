#include <cstring>

#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check(c.rank(0) >= 2, "input must have rank 2 or more, got shape ", c.in(0));
  if (c.has(1)) check(count(c.in(1)) == 1, "k must be a scalar, got shape ", c.in(1));
  c.out(0, c.in(0));
}

void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  Tensor& y = k.out(0);
  if (y.size() == 0) return;
  const bool upper = k.attr.flag("upper"), in_place = x.raw() == y.raw();
  const std::int64_t rows = x.dim(x.rank() - 2), columns = x.dim(x.rank() - 1);
  const std::int64_t diagonal = k.has(1) ? std::clamp(k.in(1).read<std::int64_t>()[0], -rows, columns) : 0;
  const auto width = static_cast<std::int64_t>(size_of(x.dtype())), row = columns * width;
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(y.raw());
  run_parallel(x.size() / columns, std::max<std::int64_t>((128 << 10) / row, 1),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t r = begin; r < end; ++r) {
                   // Elements before the diagonal; the lower triangle includes the diagonal itself.
                   const std::int64_t split =
                       std::clamp<std::int64_t>(r % rows + diagonal + (upper ? 0 : 1), 0, columns) * width;
                   const std::int64_t kept = upper ? split : 0, cleared = upper ? 0 : split;
                   const std::int64_t kept_bytes = upper ? row - split : split;
                   if (!in_place)
                     std::memcpy(to + r * row + kept, from + r * row + kept, static_cast<std::size_t>(kept_bytes));
                   std::memset(to + r * row + cleared, 0, static_cast<std::size_t>(row - kept_bytes));
                 }
               });
}

std::vector<ValueId> gradient(GradContext& g) {
  return {g.node("Trilu", {g.dout(0), g.has(1) ? g.in(1) : ValueId::none}, {{"upper", g.attr().integer("upper")}})};
}

}  // namespace

extern constinit const OpDef op_trilu = define({
    .name = "Trilu",
    .since = 14,
    .introduced = 14,
    .doc = "The upper or lower triangle of each matrix (the last two axes), zeros elsewhere. The k-th diagonal counts "
           "right of "
           "the main one and belongs to both.",
    .source = "ONNX Trilu-14",
    .inputs = {{"input", "T", "[..., rows, columns]"}, {"k", "i64", "scalar; default: 0", Presence::optional}},
    .outputs = {{"output", "T", "shape of input"}},
    .attributes = {{"upper", AttributeType::integer, 1, "0: the lower triangle"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}} -> {{1, 2, 3}, {0, 5, 6}, {0, 0, 9}}",
                 "{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}; i64 1; upper=0 -> {{1, 2, 0}, {4, 5, 6}, {7, 8, 9}}",
                 "{{1, 2}, {3, 4}}; i64 -1 -> {{1, 2}, {3, 4}}", "{{1, 2}, {3, 4}}; i64 9 -> {{0, 0}, {0, 0}}"},
});

}  // namespace tessera
