#include "ops/reduce.h"
#include "runtime/base/parts.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check(count(c.in(1)) == 1, "axis must be a scalar, got shape ", c.in(1));
  c.out(0, c.in(0));
}

// Sums along one line of `n` elements, `stride` apart, for `columns` neighbouring lines.
struct Line {
  std::int64_t n, stride, columns;
  bool exclusive, reverse;
};
constexpr std::int64_t most_columns = 64;

template <class T>
void cumulate_one(const T* x, T* y, const Line& line) {
  SumOf<T> sum = 0;
  for (std::int64_t i = 0; i < line.n; ++i) {
    const std::int64_t at = (line.reverse ? line.n - 1 - i : i) * line.stride;
    const auto next = wrapping_add(sum, static_cast<SumOf<T>>(static_cast<Compute<T>>(x[at])));
    y[at] = static_cast<T>(static_cast<Compute<T>>(line.exclusive ? sum : next));
    sum = next;
  }
}
template <class T>
void cumulate(const T* x, T* y, const Line& line) {
  if (line.columns == 1) return cumulate_one(x, y, line);
  using Sum = SumOf<T>;
  Sum sum[most_columns] = {};
  for (std::int64_t i = 0; i < line.n; ++i) {
    const std::int64_t row = (line.reverse ? line.n - 1 - i : i) * line.stride;
#pragma omp simd
    for (std::int64_t c = 0; c < line.columns; ++c) {
      const Sum next = wrapping_add(sum[c], static_cast<Sum>(static_cast<Compute<T>>(x[row + c])));
      y[row + c] = static_cast<T>(static_cast<Compute<T>>(line.exclusive ? sum[c] : next));
      sum[c] = next;
    }
  }
}

void kernel(const KernelContext& k) {
  const Shape& shape = k.in(0).shape();
  const auto axis = static_cast<std::size_t>(normal_axis(integers(k.in(1))[0], shape.rank()));
  if (k.in(0).size() == 0) return;
  const std::int64_t inner = count(std::span(shape).subspan(axis + 1)), n = shape[axis];
  const std::int64_t blocks = divide_up(inner, most_columns), lines = k.in(0).size() / (n * inner) * blocks;
  const bool exclusive = k.attr.flag("exclusive"), reverse = k.attr.flag("reverse");
  with_type(Summable{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).template read<T>().data();
    T* y = k.out(0).template write<T>().data();
    const std::int64_t grain = std::max<std::int64_t>(1, reduction_task / (n * std::min(inner, most_columns)));
    run_parallel(lines, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t column = i % blocks * most_columns, first = i / blocks * n * inner + column;
        cumulate(x + first, y + first, {n, inner, std::min(most_columns, inner - column), exclusive, reverse});
      }
    });
  });
}

// The same sum in the other direction.
std::vector<ValueId> gradient(GradContext& g) {
  return {g.node("CumSum", {g.dout(0), g.in(1)},
                 {{"exclusive", g.attr().integer("exclusive")}, {"reverse", std::int64_t{!g.attr().flag("reverse")}}})};
}

}  // namespace

extern constinit const OpDef op_cum_sum = define({
    .name = "CumSum",
    .since = 14,
    .introduced = 11,
    .doc = "Sums along one axis up to each element. Floats are summed in f64, integers wrap.",
    .source = "ONNX CumSum-14",
    .inputs = {{"x", "T", "rank at least 1"}, {"axis", "T2", "scalar in [-rank, rank)"}},
    .outputs = {{"y", "T", "shape of x"}},
    .attributes = {{"exclusive", AttributeType::integer, 0, "1: without the element itself"},
                   {"reverse", AttributeType::integer, 0, "1: from the end"}},
    .types = {{"T", dtypes::summable}, {"T2", dtypes::indices}},
    .shape = shape,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{1, 2, 3}; i64 0 -> {1, 3, 6}", "{1, 2, 3}; i64 0; exclusive=1 -> {0, 1, 3}",
                 "{1, 2, 3}; i64 0; reverse=1 -> {6, 5, 3}", "{1, 2, 3}; i64 0; exclusive=1; reverse=1 -> {5, 3, 0}",
                 "{{1, 2}, {3, 4}}; i64 0 -> {{1, 2}, {4, 6}}", "{{1, 2}, {3, 4}}; i32 -1 -> {{1, 3}, {3, 7}}"},
});

}  // namespace tessera
