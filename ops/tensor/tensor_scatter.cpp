#include <cstring>
#include <numeric>

#include "ops/fill.h"
#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

constexpr int past = 0, update = 1, write_indices = 2;

bool is_circular(const AttributeReader& attr) { return attr.text("mode") == "circular"; }

void shape(ShapeContext& c) {
  const Shape &cache = c.in(past), &x = c.in(update);
  check(cache.rank() >= 2, "past_cache must have rank 2 or more, got ", cache);
  const int axis = c.axis();
  check(axis > 0, "axis 0 is the batch; axis must name another one");
  bool fits = x.rank() == cache.rank();
  for (int d = 0; fits && d < cache.rank(); ++d) {
    const auto i = static_cast<std::size_t>(d);
    fits = d == axis ? x[i] <= cache[i] : x[i] == cache[i];
  }
  check(fits, "update ", x, " must be as past_cache ", cache, ", no larger on axis ", axis);
  if (c.has(write_indices))
    check(c.in(write_indices) == Shape{cache[0]}, "write_indices must be [", cache[0], "], got ", c.in(write_indices));
  c.out(0, cache);
}

void kernel(const KernelContext& k) {
  copy_elements(k.in(past), k.out(0));
  const Tensor& x = k.in(update);
  if (x.size() == 0) return;
  const int axis = k.axis();
  const std::int64_t length = k.out(0).dim(axis), count = x.dim(axis), batches = x.dim(0);
  const auto bytes = static_cast<std::int64_t>(size_of(x.dtype()));
  const std::int64_t row =
      bytes * std::accumulate(x.shape().begin() + axis + 1, x.shape().end(), std::int64_t{1}, std::multiplies<>());
  const std::int64_t runs = static_cast<std::int64_t>(x.bytes()) / (count * row);  // of rows on the axis
  const bool circular = is_circular(k.attr);
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(k.out(0).raw());
  const auto first_of = [&](std::int64_t batch) {
    const std::int64_t first = k.has(write_indices) ? k.in(write_indices).read<std::int64_t>()[batch] : 0;
    check(first >= 0 && (circular || first <= length - count), "write_indices[", batch, "] = ", first, ": ", count,
          " places from there are outside of past_cache, which has ", length);
    return circular ? first % length : first;
  };
  for (std::int64_t run = 0; run < runs; ++run) {
    const std::int64_t first = first_of(run / (runs / batches)), head = std::min(count, length - first);
    const auto copy = [&](std::int64_t begin, std::int64_t rows, std::int64_t place) {
      std::memcpy(to + (run * length + place) * row, from + (run * count + begin) * row,
                  static_cast<std::size_t>(rows * row));
    };
    copy(0, head, first);
    copy(head, count - head, 0);
  }
}

// Where update went: i64 of its shape. place = first + 0, 1, ... along the axis.
ValueId places(GradContext& g) {
  const Shape cache = *g.shape(g.in(past)), x = *g.shape(g.in(update));
  const int axis = normal_axis(g.attr().integer("axis"), cache.rank(), "axis");
  Shape of_batch(x), of_row(x);
  for (int d = 0; d < x.rank(); ++d) {
    const auto i = static_cast<std::size_t>(d);
    of_batch[i] = d == 0 ? x[0] : 1;
    of_row[i] = d == axis ? x[i] : 1;
  }
  std::vector<std::int64_t> steps(static_cast<std::size_t>(x[static_cast<std::size_t>(axis)]));
  std::iota(steps.begin(), steps.end(), 0);
  ValueId at = reshaped(g, g.ints(steps), of_row);
  if (g.has(write_indices)) at = g.node("Add", {at, reshaped(g, g.in(write_indices), of_batch)});
  if (is_circular(g.attr()))
    at = g.node("Mod", {at, g.constant(Tensor::scalar(cache[static_cast<std::size_t>(axis)]))});
  return g.node("Expand", {at, g.ints(x)});
}

std::vector<ValueId> gradient(GradContext& g) {
  const Attribute axis = g.attr().integer("axis");
  const auto first = g.has(write_indices) ? g.in(write_indices) : ValueId::none;
  const auto kept = [&] {
    return g.node("TensorScatter", {g.dout(0), zeros_like(g, g.in(update)), first}, g.attr().all());
  };
  return {g.needs(past) ? kept() : ValueId::none,
          g.needs(update) ? g.node("GatherElements", {g.dout(0), places(g)}, {{"axis", axis}}) : ValueId::none,
          ValueId::none};
}

}  // namespace

extern constinit const OpDef op_tensor_scatter = define({
    .name = "TensorScatter",
    .since = 24,
    .introduced = 24,
    .doc = "past_cache with update written along an axis, in batch entry b from write_indices[b] on: the way a cache "
           "of keys or values takes in new tokens. Mode circular goes on at 0 behind the end; linear refuses to.",
    .source = "ONNX TensorScatter-24",
    .inputs = {{"past_cache", "T", "[B x ... x length x ...]"},
               {"update", "T", "shape of past_cache, no larger on the axis"},
               {"write_indices", "i64", "[B], default 0", Presence::optional}},
    .outputs = {{"present_cache", "T", "shape of past_cache"}},
    .attributes = {{"axis", AttributeType::integer, -2, "in [-rank, rank), not that of the batch"},
                   {"mode", AttributeType::text, "linear", "circular: writing goes on at the beginning",
                    "linear|circular"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{{1, 2}, {3, 4}, {5, 6}}}, {{{1, 2}, {3, 4}, {5, 6}}}}; {{{{7, 8}}}, {{{7, 8}}}}; i64{1, 2} -> "
                 "{{{{1, 2}, {7, 8}, {5, 6}}}, {{{1, 2}, {3, 4}, {7, 8}}}}",
                 "{{1, 2, 3}, {4, 5, 6}}; {{7, 8}, {9, 10}}; i64{2, 4}; axis=1; mode=\"circular\" -> "
                 "{{8, 2, 7}, {4, 9, 10}}",
                 "{{{1}, {2}}}; {{{5}}} -> {{{5}, {2}}}", "i32{{1, 2}}; i32[1x0]{}; i64{2}; axis=-1 -> i32{{1, 2}}",
                 "f32[0x3]{}; f32[0x2]{}; axis=1 -> f32[0x3]{}"},
});

}  // namespace tessera
