#include "ops/copy_run.h"
#include "ops/index.h"
#include "ops/strided_copy.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const auto axis = static_cast<std::size_t>(c.axis());
  const Shape &x = c.in(0), &at = c.in(1);
  Shape y(x.begin(), x.begin() + axis);
  y.append(at.begin(), at.end());
  y.append(x.begin() + axis + 1, x.end());
  c.out(0, std::move(y));
}

template <class Index>
void gather(const KernelContext& k, const Index* at) {
  const Tensor& x = k.in(0);
  const AxisView v(x.shape(), k.axis());
  const std::int64_t n = k.in(1).size(), row = v.inner * static_cast<std::int64_t>(size_of(x.dtype()));
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(k.out(0).raw());
  if (n == 1) {
    const std::byte* first = from + normal_index(at[0], v.axis) * row;
    return strided_copy(x.dtype(), {v.outer, v.inner}, first, {v.axis * v.inner, 1}, to, {v.inner, 1});
  }
  if (row == 0) return;
  with_copy(static_cast<std::size_t>(row), [&](auto copy) {
    run_parallel(v.outer * n, std::max<std::int64_t>((128 << 10) / row, 1), [&](std::int64_t begin, std::int64_t end) {
      const std::byte* block = from + begin / n * v.axis * row;
      std::int64_t j = begin % n;
      for (std::int64_t i = begin; i < end; ++i) {
        copy(to + i * row, block + normal_index(at[j], v.axis) * row);
        if (++j < n) continue;
        j = 0;
        block += v.axis * row;
      }
    });
  });
}

void kernel(const KernelContext& k) {
  if (k.out(0).size() == 0) return;
  with_type(Indices{}, k.in(1).dtype(), [&]<class I>(Type<I>) { gather<I>(k, k.in(1).read<I>().data()); });
}

std::vector<ValueId> gradient(GradContext& g) {
  return {g.node("tessera::GatherGrad", {g.dout(0), g.in(1), g.ints(*g.shape(g.in(0)))},
                 {{"axis", g.attr().integer("axis")}})};
}

}  // namespace

extern constinit const OpDef op_gather = define({
    .name = "Gather",
    .since = 13,
    .doc = "The slices of data along an axis that the indices name, in the order of the indices.",
    .source = "ONNX Gather-13",
    .inputs = {{"data", "T", "any shape of rank >= 1"}, {"indices", "Tind", "any shape; values in [-size, size)"}},
    .outputs = {{"output", "T", "shape of data, the axis replaced by the shape of indices"}},
    .attributes = {{"axis", AttributeType::integer, 0, "in [-rank, rank)"}},
    .types = {{"T", dtypes::all}, {"Tind", dtypes::indices}},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2}, {3, 4}, {5, 6}}; i64{0, -1} -> {{1, 2}, {5, 6}}",
                 "{{1, 2, 3}, {4, 5, 6}}; i64{{0, 2}}; axis=1 -> {{{1, 3}}, {{4, 6}}}",
                 "{{1, 2}, {3, 4}}; i32 1; axis=-1 -> {2, 4}", "{{1, 2}, {3, 4}}; i64[0]{} -> f32[0x2]{}"},
});

}  // namespace tessera
