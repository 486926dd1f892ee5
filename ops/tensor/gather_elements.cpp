#include "ops/element_rows.h"
#include "ops/fill.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check_element_indices(c.in(0), c.in(1), static_cast<std::size_t>(c.axis()));
  c.out(0, c.in(1));
}

template <class U, class Index>
void gather(const KernelContext& k, const Index* at) {
  const ElementRows rows(k.in(0).shape(), k.in(1).shape(), k.axis());
  const U* x = static_cast<const U*>(k.in(0).raw());
  U* y = static_cast<U*>(k.out(0).raw());
  run_parallel(rows.rows, std::max<std::int64_t>(16384 / rows.row, 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t base = rows.base(r);
      for (std::int64_t j = 0; j < rows.row; ++j) y[r * rows.row + j] = x[rows.offset(base, j, at[r * rows.row + j])];
    }
  });
}

void kernel(const KernelContext& k) {
  if (k.out(0).size() == 0) return;
  with_width(k.in(0).dtype(), [&]<class U>(Type<U>) {
    with_type(Indices{}, k.in(1).dtype(), [&]<class I>(Type<I>) { gather<U>(k, k.in(1).read<I>().data()); });
  });
}

std::vector<ValueId> gradient(GradContext& g) {
  return {g.node("ScatterElements", {zeros_like(g, g.in(0)), g.in(1), g.dout(0)},
                 {{"axis", g.attr().integer("axis")}, {"reduction", std::string("add")}})};
}

}  // namespace

extern constinit const OpDef op_gather_elements = define({
    .name = "GatherElements",
    .since = 13,
    .introduced = 11,
    .doc =
        "For every index the element of data at the same place, but along the axis at the index: on axis 0 of three, "
        "output[i][j][k] = data[indices[i][j][k]][j][k].",
    .source = "ONNX GatherElements-13",
    .inputs = {{"data", "T", "any shape of rank >= 1"},
               {"indices", "Tind", "rank of data, no larger but for the axis; values in [-size, size)"}},
    .outputs = {{"output", "T", "shape of indices"}},
    .attributes = {{"axis", AttributeType::integer, 0, "in [-rank, rank)"}},
    .types = {{"T", dtypes::all}, {"Tind", dtypes::indices}},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2}, {3, 4}}; i64{{0, 0}, {1, 0}}; axis=1 -> {{1, 1}, {4, 3}}",
                 "{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}; i32{{-2, -1, 0}} -> {{4, 8, 3}}",
                 "{{1, 2}}; i64[0x2]{} -> f32[0x2]{}"},
});

}  // namespace tessera
