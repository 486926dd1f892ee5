#include "ops/element_rows.h"
#include "ops/fill.h"
#include "ops/scatter.h"
#include "ops/scatter_gradient.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check_element_indices(c.in(0), c.in(1), static_cast<std::size_t>(c.axis()));
  check(c.in(1) == c.in(2), "indices ", c.in(1), " and updates ", c.in(2), " differ in shape");
  c.out(0, c.in(0));
}

// Rows that may meet in one element are one thread's, in the order of the indices.
template <class T, class Index, class Combine>
void scatter(const KernelContext& k, const Index* at, Combine combine) {
  const ElementRows rows(k.in(0).shape(), k.in(1).shape(), k.axis());
  const T* updates = static_cast<const T*>(k.in(2).raw());
  T* y = static_cast<T*>(k.out(0).raw());
  const std::int64_t block = rows.rows_apart;
  const std::int64_t grain = std::max<std::int64_t>(16384 / (block * rows.row), 1);
  run_parallel(rows.rows / block, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin * block; r < end * block; ++r) {
      const std::int64_t base = rows.base(r);
      for (std::int64_t j = 0; j < rows.row; ++j) {
        T& to = y[rows.offset(base, j, at[r * rows.row + j])];
        to = combine(to, updates[r * rows.row + j]);
      }
    }
  });
}

void kernel(const KernelContext& k) {
  copy_elements(k.in(0), k.out(0));
  if (k.in(1).size() == 0) return;
  with_reduction(k.attr.text("reduction"), k.in(0).dtype(), [&]<class T>(Type<T>, auto combine) {
    with_type(Indices{}, k.in(1).dtype(), [&]<class I>(Type<I>) { scatter<T>(k, k.in(1).read<I>().data(), combine); });
  });
}

std::vector<ValueId> gradient(GradContext& g) {
  const Attribute axis = g.attr().integer("axis");
  return scatter_gradient(g, {[&](ValueId data, ValueId updates, const char* reduction) {
                                return g.node("ScatterElements", {data, g.in(1), updates},
                                              {{"axis", axis}, {"reduction", std::string(reduction)}});
                              },
                              [&](ValueId x) {
                                return g.node("GatherElements", {x, g.in(1)}, {{"axis", axis}});
                              }});
}

}  // namespace

extern constinit const OpDef op_scatter_elements = define({
    .name = "ScatterElements",
    .since = 18,
    .introduced = 11,
    .doc =
        "data with updates written, or combined with what is there, at the places the indices name: on axis 0 of "
        "three, "
        "output[indices[i][j][k]][j][k] = updates[i][j][k]. Where indices repeat, updates follow in their order. The "
        "gradient for updates that a later one overwrites is that of the later one.",
    .source = "ONNX ScatterElements-18",
    .inputs = {{"data", "T", "any shape of rank >= 1"},
               {"indices", "Tind", "rank of data, no larger but for the axis; values in [-size, size)"},
               {"updates", "T", "shape of indices"}},
    .outputs = {{"output", "T", "shape of data"}},
    .attributes = {{"axis", AttributeType::integer, 0, "in [-rank, rank)"},
                   {"reduction", AttributeType::text, "none", "how updates meet what is there; numbers only",
                    scatter_reductions}},
    .types = {{"T", dtypes::all}, {"Tind", dtypes::indices}},
    .shape = shape,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2, 3, 4, 5}}; i64{{1, 3}}; {{1.1, 2.1}}; axis=1 -> {{1, 1.1, 3, 2.1, 5}}",
                 "{{1, 2}, {3, 4}}; i64{{-1, 0}}; {{5, 6}} -> {{1, 6}, {5, 4}}",
                 "{1, 2, 3}; i64{1, 1}; {10, 20}; reduction=\"add\" -> {1, 32, 3}",
                 "i32{1, 2, 3}; i32{1, 1}; i32{10, 20}; reduction=\"mul\" -> i32{1, 400, 3}",
                 "{2, 3, 0}; i64{1, 1, 2, 0}; {4, 0.5, 5, 0}; reduction=\"mul\" -> {0, 6, 0}",
                 "{1, 2, 3}; i64{0, 0, 2}; {2, 5, 1}; reduction=\"max\" -> {5, 2, 3}",
                 "i64{1, 2, 3}; i64{0, 2}; i64{2, 2}; reduction=\"max\" -> i64{2, 2, 3}",
                 "i64{1, 2, 3}; i64{0, 2}; i64{2, 2}; reduction=\"min\" -> i64{1, 2, 2}",
                 "i64{1}; i64[0]{}; i64[0]{} -> i64{1}"},
});

}  // namespace tessera
