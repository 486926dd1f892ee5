#include "ops/fill.h"
#include "ops/index.h"
#include "ops/scatter.h"
#include "ops/scatter_gradient.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape &x = c.in(0), &at = c.in(1);
  check(!x.empty() && !at.empty(), "data and indices must have rank 1 or more");
  check(at.back() <= x.rank(), "index tuples of ", at.back(), " for data of rank ", x.rank());
  Shape updates(at.begin(), at.end() - 1);
  updates.append(x.begin() + at.back(), x.end());
  check(c.in(2) == updates, "updates have shape ", c.in(2), ", expected ", updates);
  c.out(0, x);
}

// Tuples follow one another in their order; a long slice is shared by the threads.
template <class T, class Combine>
void scatter(const KernelContext& k, Combine combine) {
  const std::span<const std::int64_t> dims = k.in(0).shape();
  const Shape strides = row_major_strides(k.in(0).shape());
  const auto tuple = static_cast<std::size_t>(k.in(1).shape().back());
  const std::int64_t slice = count(dims.subspan(tuple)), tuples = k.in(2).size() / slice;
  const std::int64_t* at = k.in(1).read<std::int64_t>().data();
  const T* updates = static_cast<const T*>(k.in(2).raw());
  T* y = static_cast<T*>(k.out(0).raw());
  for (std::int64_t i = 0; i < tuples; ++i) {
    T* to = y + tuple_offset(at + i * static_cast<std::int64_t>(tuple), dims, strides, tuple);
    const T* from = updates + i * slice;
    run_parallel(slice, 32768, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = begin; j < end; ++j) to[j] = combine(to[j], from[j]);
    });
  }
}

void kernel(const KernelContext& k) {
  copy_elements(k.in(0), k.out(0));
  if (k.in(2).size() == 0) return;
  with_reduction(k.attr.text("reduction"), k.in(0).dtype(),
                 [&]<class T>(Type<T>, auto combine) { scatter<T>(k, combine); });
}

std::vector<ValueId> gradient(GradContext& g) {
  return scatter_gradient(
      g, {[&](ValueId data, ValueId updates, const char* reduction) {
            return g.node("ScatterND", {data, g.in(1), updates}, {{"reduction", std::string(reduction)}});
          },
          [&](ValueId x) {
            return g.node("GatherND", {x, g.in(1)});
          }});
}

}  // namespace

extern constinit const OpDef op_scatter_nd = define({
    .name = "ScatterND",
    .since = 18,
    .introduced = 11,
    .doc =
        "data with the slices that index tuples (the last axis of indices) name replaced by updates, or combined with "
        "them. Where tuples repeat, updates follow in their order. The gradient for updates that a later one "
        "overwrites is that of the later one.",
    .source = "ONNX ScatterND-18",
    .inputs = {{"data", "T", "any shape of rank >= 1"},
               {"indices", "i64", "[any..., axes indexed]; values in [-size, size)"},
               {"updates", "T", "shape of indices without the last axis, then the axes of data not indexed"}},
    .outputs = {{"output", "T", "shape of data"}},
    .attributes = {{"reduction", AttributeType::text, "none", "how updates meet what is there; numbers only",
                    scatter_reductions}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1, 2, 3, 4}; i64{{3}, {1}}; {9, 10} -> {1, 10, 3, 9}",
                 "{{1, 2}, {3, 4}}; i64{{-1}}; {{5, 6}} -> {{1, 2}, {5, 6}}",
                 "{{1, 2}, {3, 4}}; i64{{0}, {0}}; {{5, 6}, {7, 8}}; reduction=\"add\" -> {{13, 16}, {3, 4}}",
                 "i32{1, 2}; i64{{1}, {1}}; i32{3, 4}; reduction=\"mul\" -> i32{1, 24}",
                 "i32{1, 2}; i64{{0}, {1}}; i32{3, 0}; reduction=\"max\" -> i32{3, 2}",
                 "i32{1, 2}; i64{{0}, {1}}; i32{3, 0}; reduction=\"min\" -> i32{1, 0}",
                 "{{1, 2}, {3, 4}}; i64{{0}, {0}}; {{2, 0}, {3, 5}}; reduction=\"mul\" -> {{6, 0}, {3, 4}}",
                 "{{1, 2}, {3, 4}}; i64{{0}, {1}}; {{0.5, 7}, {6, 0}}; reduction=\"min\" -> {{0.5, 2}, {3, 0}}"},
});

}  // namespace tessera
