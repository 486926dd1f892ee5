#include <cstring>
#include <numeric>

#include "ops/index.h"
#include "ops/strided_copy.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

// Slices along the axis; single elements of the flat input without one.
struct Slices {
  AxisView view;
  Shape shape;  // of the input, flat without an axis
  std::size_t axis;
  Slices(const Tensor& x, const AttributeReader& attr) : view(Shape{x.size()}, 0), shape{x.size()}, axis(0) {
    if (!attr.has("axis")) return;
    axis = static_cast<std::size_t>(normal_axis(attr.integer("axis"), x.rank()));
    view = AxisView(x.shape(), static_cast<int>(axis));
    shape = x.shape();
  }
};

// -1, 0 or 1: slices a and b compared element by element; NaN is larger than every number and equals itself.
template <class T>
int compare(const Slices& s, const T* x, std::int64_t a, std::int64_t b) {
  using C = Compute<T>;
  for (std::int64_t o = 0; o < s.view.outer; ++o)
    for (std::int64_t i = 0; i < s.view.inner; ++i) {
      const C p = static_cast<C>(x[(o * s.view.axis + a) * s.view.inner + i]);
      const C q = static_cast<C>(x[(o * s.view.axis + b) * s.view.inner + i]);
      if (p < q || (p == p && q != q)) return -1;
      if (q < p || (q == q && p != p)) return 1;
    }
  return 0;
}

// Groups of equal slices: `first` holds the first place of each, `group` the group of every slice.
struct Groups {
  std::vector<std::int64_t> first, group, size;
};

template <class T>
Groups groups_of(const Slices& s, const T* x, bool sorted) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(s.view.axis));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return compare(s, x, a, b) < 0; });
  Groups g;
  g.group.resize(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(s, x, order[i - 1], order[i]) != 0) {
      g.first.push_back(order[i]);
      g.size.push_back(0);
    }
    g.group[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(g.first.size()) - 1;
    ++g.size.back();
  }
  if (sorted) return g;
  // In the order of their first places.
  std::vector<std::size_t> by_place(g.first.size()), rank(g.first.size());
  std::iota(by_place.begin(), by_place.end(), 0);
  std::sort(by_place.begin(), by_place.end(), [&](auto a, auto b) { return g.first[a] < g.first[b]; });
  Groups placed;
  for (std::size_t i = 0; i < by_place.size(); ++i) {
    rank[by_place[i]] = i;
    placed.first.push_back(g.first[by_place[i]]);
    placed.size.push_back(g.size[by_place[i]]);
  }
  for (const auto old : g.group) placed.group.push_back(static_cast<std::int64_t>(rank[static_cast<std::size_t>(old)]));
  return placed;
}

void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  const Slices s(x, k.attr);
  Groups g;
  with_type(AllTypes{}, x.dtype(),
            [&]<class T>(Type<T>) { g = groups_of(s, x.read<T>().data(), k.attr.flag("sorted")); });
  Shape dims = s.shape;
  dims[s.axis] = static_cast<std::int64_t>(g.first.size());
  Tensor y(x.dtype(), dims);
  const auto width = static_cast<std::int64_t>(size_of(x.dtype()));
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(y.raw());
  const Shape slice = {s.view.outer, s.view.inner};
  for (std::size_t i = 0; i < g.first.size(); ++i)
    strided_copy(x.dtype(), slice, from + g.first[i] * s.view.inner * width, {s.view.axis * s.view.inner, 1},
                 to + static_cast<std::int64_t>(i) * s.view.inner * width, {dims[s.axis] * s.view.inner, 1});
  k.give(0, std::move(y));
  if (k.wants(1)) k.give(1, Tensor::vector<std::int64_t>(g.first));
  if (k.wants(2)) k.give(2, Tensor::vector<std::int64_t>(g.group));
  if (k.wants(3)) k.give(3, Tensor::vector<std::int64_t>(g.size));
}

}  // namespace

extern constinit const OpDef op_unique = define({
    .name = "Unique",
    .since = 11,
    .introduced = 11,
    .doc =
        "The distinct slices along an axis (elements of the flat input without one), in ascending order or in the "
        "order they first appear; where each appears first, which of them every slice is, and how often each appears.",
    .source = "ONNX Unique-11",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "T", "the distinct slices; a vector without axis"},
                {"indices", "i64", "[distinct]", Presence::optional},
                {"inverse_indices", "i64", "[slices]", Presence::optional},
                {"counts", "i64", "[distinct]", Presence::optional}},
    .attributes = {{"axis", AttributeType::integer, {}, "in [-rank, rank); default: the flat input"},
                   {"sorted", AttributeType::integer, 1, "0: in the order of first appearance"}},
    .types = {{"T", dtypes::all}},
    .late = true,
    .kernel = kernel,
    .gradient = gradient_missing,
    .examples = {"{2, 1, 1, 3} -> {1, 2, 3}; i64{1, 0, 3}; i64{1, 0, 0, 2}; i64{2, 1, 1}",
                 "{2, 1, 1, 3}; sorted=0 -> {2, 1, 3}; i64{0, 1, 3}; i64{0, 1, 1, 2}; i64{1, 2, 1}",
                 "{{1, 0}, {1, 0}, {2, 3}}; axis=0 -> {{1, 0}, {2, 3}}; i64{0, 2}; i64{0, 0, 1}; i64{2, 1}",
                 "f32[0]{} -> f32[0]{}"},
});

}  // namespace tessera
