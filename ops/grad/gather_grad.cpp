#include <numeric>

#include "ops/fill.h"
#include "ops/index.h"
#include "runtime/base/parts.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape x = integers(c.value(2));
  const auto axis = static_cast<std::size_t>(normal_axis(c.attr.integer("axis"), x.rank()));
  Shape y(x.begin(), x.begin() + axis);
  y.append(c.in(1).begin(), c.in(1).end());
  y.append(x.begin() + axis + 1, x.end());
  check(y == c.in(0), "dY has shape ", c.in(0), ", expected ", y);
  c.out(0, x);
}

struct Slice {
  std::int64_t to, from;  // along the axis of dX, and among the slices of dY
};

// The slices in the order of `to`, those of one `to` in the order of the indices.
template <class Index>
void sort_slices(const Index* at, std::int64_t n, std::int64_t axis, Slice* slices) {
  const Scratch<std::int64_t> next(axis + 1);  // where the next slice to go to an element belongs
  std::fill_n(next.data(), axis + 1, 0);
  for (std::int64_t j = 0; j < n; ++j) ++next[normal_index(at[j], axis) + 1];
  std::partial_sum(next.data(), next.data() + axis, next.data());
  for (std::int64_t j = 0; j < n; ++j) {
    const std::int64_t to = normal_index(at[j], axis);
    slices[next[to]++] = {to, j};
  }
}

// Every element of dX is summed in the order of the indices, by one thread: the same bits always. Sums of sixteen-bit
// floats are rounded once (ones added in bf16 end at 256), for which their slices are sorted: it costs more than adding
// f32 where they go.
template <class T, class Index>
void scatter(const KernelContext& k, const Index* at) {
  const AxisView v(k.out(0).shape(), normal_axis(k.attr.integer("axis"), k.out(0).rank()));
  const std::int64_t n = k.in(1).size();
  if (k.in(0).size() == 0) return;
  constexpr bool sorted = !std::is_same_v<T, Compute<T>>;
  const Scratch<Slice> slices(sorted ? n : 0);
  if (sorted) sort_slices(at, n, v.axis, slices.data());
  const T* dy = k.in(0).read<T>().data();
  T* dx = k.out(0).template write<T>().data();
  constexpr std::int64_t columns = 64;  // one chunk: a strip of `inner` in one outer block
  const std::int64_t strips = divide_up(v.inner, columns);
  const std::int64_t work = std::max<std::int64_t>(n * std::min(columns, v.inner), 1);
  run_parallel(v.outer * strips, std::max<std::int64_t>(32768 / work, 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s) {
      const std::int64_t o = s / strips, first = s % strips * columns, last = std::min(first + columns, v.inner);
      if constexpr (!sorted) {
        for (std::int64_t j = 0; j < n; ++j) {
          T* to = dx + (o * v.axis + normal_index(at[j], v.axis)) * v.inner;
          const T* from = dy + (o * n + j) * v.inner;
          for (std::int64_t i = first; i < last; ++i) to[i] += from[i];
        }
      } else {
        for (std::int64_t j = 0; j < n;) {
          const std::int64_t to = slices[j].to;
          Compute<T> sum[columns];
          std::fill_n(sum, last - first, Compute<T>{0});
          for (; j < n && slices[j].to == to; ++j) {
            const T* from = dy + (o * n + slices[j].from) * v.inner + first;
            for (std::int64_t i = 0; i < last - first; ++i) sum[i] += static_cast<Compute<T>>(from[i]);
          }
          T* into = dx + (o * v.axis + to) * v.inner + first;
          for (std::int64_t i = 0; i < last - first; ++i) into[i] = static_cast<T>(sum[i]);
        }
      }
    }
  });
}

void kernel(const KernelContext& k) {
  const std::uint64_t zero = 0;
  fill(k.out(0).dtype(), k.out(0).raw(), k.out(0).size(), &zero);
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    with_type(Indices{}, k.in(1).dtype(), [&]<class I>(Type<I>) { scatter<T>(k, k.in(1).read<I>().data()); });
  });
}

std::vector<ValueId> gradient(GradContext& g) {
  return {g.node("Gather", {g.dout(0), g.in(1)}, {{"axis", g.attr().integer("axis")}})};
}

}  // namespace

extern constinit const OpDef op_gather_grad = define({
    .name = "GatherGrad",
    .domain = "tessera",
    .since = 1,
    .doc = "Gradient of Gather: zeros of the shape of data, each slice of dY added where it was taken from.",
    .source = "the transpose of ONNX Gather-13",
    .inputs = {{"dY", "T", "shape of Gather's output"},
               {"indices", "Tind", "as given to Gather"},
               {"data_shape", "i64", "[rank of data]"}},
    .outputs = {{"dX", "T", "data_shape"}},
    .attributes = {{"axis", AttributeType::integer, 0, "in [-rank, rank)"}},
    .types = {{"T", dtypes::floats}, {"Tind", dtypes::indices}},
    .shape_reads = {2},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2}, {3, 4}, {5, 6}}; i64{1, 0, 1}; i64{3, 2} -> {{3, 4}, {6, 8}, {0, 0}}",
                 "{1, 2}; i64 -1; i64{2, 2}; axis=1 -> {{0, 1}, {0, 2}}"},
});

}  // namespace tessera
