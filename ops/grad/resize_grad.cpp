#include "ops/convert.h"
#include "ops/index.h"
#include "ops/resampling.h"
#include "runtime/base/parts.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const auto value = [&](int i) { return c.has(i) ? &c.value(i) : nullptr; };
  const Shape x = integers(c.value(1));
  Shape y = x;
  for (const auto& a : resized_axes(x, c.attr, {value(2), value(3), value(4)}))
    y[static_cast<std::size_t>(a.axis)] = a.out;
  check(y == c.in(0), "dY has shape ", c.in(0), ", expected ", y);
  c.out(0, x);
}

// The transpose of one axis: x [outer, in, inner] sums what y [outer, out, inner] took from it, in the order of the
// outputs.
template <class C>
void gather_back(const Resampling& r, const AxisView& v, const C* y, C* x) {
  constexpr std::int64_t columns = 256;  // one chunk: a strip of `inner` in one outer block
  const std::int64_t strips = divide_up(v.inner, columns);
  const std::int64_t work = std::max<std::int64_t>(r.out * r.taps * std::min(columns, v.inner), 1);
  run_parallel(v.outer * strips, std::max<std::int64_t>(32768 / work, 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s) {
      const std::int64_t o = s / strips, first = s % strips * columns, last = std::min(first + columns, v.inner);
      C* block = x + o * r.in * v.inner;
      for (std::int64_t i = 0; i < r.in; ++i) std::fill(block + i * v.inner + first, block + i * v.inner + last, C{0});
      for (std::int64_t j = 0; j < r.out; ++j) {
        const C* from = y + (o * r.out + j) * v.inner;
        for (std::int64_t t = 0; t < r.taps; ++t) {
          const C w = static_cast<C>(r.weights[static_cast<std::size_t>(j * r.taps + t)]);
          C* to = block + (r.first[static_cast<std::size_t>(j)] + t) * v.inner;
#pragma omp simd
          for (std::int64_t i = first; i < last; ++i) to[i] += w * from[i];
        }
      }
    }
  });
}

void kernel(const KernelContext& k) {
  if (k.out(0).size() == 0) return;
  const auto value = [&](int i) { return k.has(i) ? &k.in(i) : nullptr; };
  Shape now = k.in(0).shape();
  std::vector<Resampling> axes;
  std::int64_t largest = count(now);
  for (const auto& a : resized_axes(k.out(0).shape(), k.attr, {value(2), value(3), value(4)})) {
    if (!a.changes()) continue;
    axes.push_back(resampling(a, k.attr));
    now[static_cast<std::size_t>(a.axis)] = a.in;
    largest = std::max(largest, count(now));
  }
  now = k.in(0).shape();
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using C = Compute<T>;
    const Scratch<C> even(largest), odd(largest);
    const T* dy = k.in(0).read<T>().data();
    for (std::int64_t i = 0; i < k.in(0).size(); ++i) even[i] = static_cast<C>(dy[i]);
    const C* from = even.data();
    for (const auto& r : axes) {
      C* to = from == even.data() ? odd.data() : even.data();
      gather_back<C>(r, AxisView(now, r.axis), from, to);
      now[static_cast<std::size_t>(r.axis)] = r.in;
      from = to;
    }
    T* dx = k.out(0).template write<T>().data();
    for (std::int64_t i = 0; i < k.out(0).size(); ++i) dx[i] = static_cast<T>(from[i]);
  });
}

// Resize is linear: back again.
std::vector<ValueId> gradient(GradContext& g) {
  std::vector<ValueId> in = {g.dout(0)};
  for (int i = 2; i < 5; ++i) in.push_back(g.has(i) ? g.in(i) : ValueId::none);
  Attributes attributes = g.attr().all();
  attributes.erase("extrapolation_value");
  return {g.node("Resize", in, attributes)};
}

}  // namespace

extern constinit const OpDef op_resize_grad = define({
    .name = "ResizeGrad",
    .domain = "tessera",
    .since = 1,
    .doc = "Gradient of Resize: every element of dY handed back to the elements that made it, by their weights.",
    .source = "the transpose of ONNX Resize-19",
    .inputs = {{"dY", "T1", "shape of Resize's output"},
               {"X_shape", "i64", "[rank of X]"},
               {"roi", "T2", "as given to Resize", Presence::optional},
               {"scales", "f32", "as given to Resize", Presence::optional},
               {"sizes", "i64", "as given to Resize", Presence::optional}},
    .outputs = {{"dX", "T1", "X_shape"}},
    .attributes = resize_attributes,
    .types = {{"T1", dtypes::floats}, {"T2", dtypes::floats}},
    .shape_reads = {1, 2, 3, 4},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2, 3, 4}}; i64{1, 2}; _; {1, 2} -> {{3, 7}}",
                 "{2, 4}; i64{4}; _; _; i64{2}; mode=\"linear\" -> {1, 1, 2, 2}"},
});

}  // namespace tessera
