#include <cstring>

#include "ops/convert.h"
#include "ops/fill.h"
#include "ops/index.h"
#include "ops/resampling.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const auto value = [&](int i) { return c.has(i) ? &c.value(i) : nullptr; };
  Shape y = c.in(0);
  for (const auto& a : resized_axes(y, c.attr, {value(1), value(2), value(3)}))
    y[static_cast<std::size_t>(a.axis)] = a.out;
  check(c.attr.text("mode") == "nearest" || c.dtype(0) != DType::boolean, Code::unsupported,
        "bool can be resized to nearest only");
  c.out(0, std::move(y));
}

bool keeps_all(const ShapeContext& c) {
  if (c.attr.text("coordinate_transformation_mode") == "tf_crop_and_resize") return false;
  const auto value = [&](int i) { return c.has(i) ? &c.value(i) : nullptr; };
  for (const auto& a : resized_axes(c.in(0), c.attr, {value(1), value(2), value(3)}))
    if (a.changes()) return false;
  return true;
}

// For every axis the input index that each output index shows, -1 outside.
std::vector<std::vector<std::int64_t>> index_maps(const Shape& x, const std::vector<Resampling>& axes) {
  std::vector<std::vector<std::int64_t>> maps(x.size());
  for (std::size_t a = 0; a < x.size(); ++a)
    for (std::int64_t i = 0; i < x[a]; ++i) maps[a].push_back(i);
  for (const auto& r : axes) {
    auto& map = maps[static_cast<std::size_t>(r.axis)];
    map = r.first;
    for (std::size_t j = 0; j < r.outside.size(); ++j)
      if (r.outside[j]) map[j] = -1;
  }
  return maps;
}

template <class U>
void resize_nearest(const KernelContext& k, const std::vector<Resampling>& axes, U outside) {
  const Tensor& x = k.in(0);
  const Shape &in = x.shape(), &out = k.out(0).shape();
  const auto maps = index_maps(in, axes);
  const Shape strides = row_major_strides(in);
  const U* from = static_cast<const U*>(x.raw());
  U* to = static_cast<U*>(k.out(0).raw());
  const std::size_t last = out.size() - 1;
  const std::int64_t row = out[last], rows = k.out(0).size() / row;
  const std::int64_t* map = maps[last].data();
  run_parallel(rows, std::max<std::int64_t>(pointwise_grain / row, 1), [&](std::int64_t begin, std::int64_t end) {
    std::int64_t shown = -2;  // where the row before came from: a row repeated is copied
    for (std::int64_t r = begin; r < end; ++r) {
      std::int64_t rest = r, base = 0;
      for (std::size_t a = last; a-- > 0 && base >= 0;) {
        const std::int64_t i = maps[a][static_cast<std::size_t>(rest % out[a])];
        base = i < 0 ? -1 : base + i * strides[a];
        rest /= out[a];
      }
      U* y = to + r * row;
      if (base == shown)
        std::memcpy(y, y - row, static_cast<std::size_t>(row) * sizeof(U));
      else
        for (std::int64_t j = 0; j < row; ++j) y[j] = base < 0 || map[j] < 0 ? outside : from[base + map[j]];
      shown = base;
    }
  });
}

// The last axis: every row of y [outer, out] from one of x [outer, in].
template <class C>
void resample_rows(const Resampling& r, std::int64_t outer, const C* weights, const C* x, C* y) {
  const std::int64_t* first = r.first.data();
  const std::int64_t grain = std::max<std::int64_t>(pointwise_grain / (r.out * r.taps), 1);
  run_parallel(outer, grain, [=, in = r.in, out = r.out, taps = r.taps](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      const C* from = x + o * in;
      C* to = y + o * out;
      if (taps == 2) {
#pragma omp simd
        for (std::int64_t j = 0; j < out; ++j)
          to[j] = weights[2 * j] * from[first[j]] + weights[2 * j + 1] * from[first[j] + 1];
        continue;
      }
      for (std::int64_t j = 0; j < out; ++j) {
        C sum = 0;
        for (std::int64_t t = 0; t < taps; ++t) sum += weights[j * taps + t] * from[first[j] + t];
        to[j] = sum;
      }
    }
  });
}

// One axis: y [outer, out, inner] from x [outer, in, inner].
template <class C>
void resample(const Resampling& r, const AxisView& v, const C* x, C* y) {
  const std::vector<C> weights(r.weights.begin(), r.weights.end());
  if (v.inner == 1) return resample_rows(r, v.outer, weights.data(), x, y);
  const std::int64_t grain = std::max<std::int64_t>(32768 / (v.inner * r.taps), 1);
  run_parallel(v.outer * r.out, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t j = row % r.out;
      const C* from = x + (row / r.out * r.in + r.first[static_cast<std::size_t>(j)]) * v.inner;
      const C* w = &weights[static_cast<std::size_t>(j * r.taps)];
      C* to = y + row * v.inner;
#pragma omp simd
      for (std::int64_t i = 0; i < v.inner; ++i) to[i] = w[0] * from[i];
      for (std::int64_t t = 1; t < r.taps; ++t) {
        const C part = w[t];
        const C* tap = from + t * v.inner;
#pragma omp simd
        for (std::int64_t i = 0; i < v.inner; ++i) to[i] += part * tap[i];
      }
    }
  });
}

// Output elements that lie outside the input on some axis.
void extrapolate(Tensor& y, const std::vector<Resampling>& axes, double value) {
  const Tensor one = Tensor::scalar(y.dtype(), value);
  const auto width = static_cast<std::int64_t>(size_of(y.dtype()));
  for (const auto& r : axes) {
    const AxisView v(y.shape(), r.axis);
    for (std::int64_t row = 0; row < v.outer * v.axis && !r.outside.empty(); ++row)
      if (r.outside[static_cast<std::size_t>(row % v.axis)])
        fill(y.dtype(), static_cast<std::byte*>(y.raw()) + row * v.inner * width, v.inner, one.raw());
  }
}

// Axis by axis, those that shrink most first; integers round to nearest.
template <class T, class C>
void resize_weighted(const KernelContext& k, std::vector<Resampling> axes) {
  std::sort(axes.begin(), axes.end(), [](const Resampling& a, const Resampling& b) {
    return static_cast<double>(a.out) * static_cast<double>(b.in) <
           static_cast<double>(b.out) * static_cast<double>(a.in);
  });
  Shape now = k.in(0).shape();
  std::int64_t largest = count(now);
  for (const auto& r : axes) {
    now[static_cast<std::size_t>(r.axis)] = r.out;
    largest = std::max(largest, count(now));
  }
  const Scratch<C> even(largest), odd(largest);
  now = k.in(0).shape();
  const T* x = k.in(0).read<T>().data();
  T* y = k.out(0).template write<T>().data();
  const C* from = nullptr;
  if constexpr (std::is_same_v<T, C>)
    from = x;
  else
    for (std::int64_t i = 0; i < k.in(0).size(); ++i) even[i] = convert<C>(x[i]);
  if (!from) from = even.data();
  for (const auto& r : axes) {
    C* to = from == even.data() ? odd.data() : even.data();
    resample<C>(r, AxisView(now, r.axis), from, to);
    now[static_cast<std::size_t>(r.axis)] = r.out;
    from = to;
  }
  run_parallel(k.out(0).size(), pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      y[i] = convert<T>(std::is_integral_v<T> ? std::nearbyint(from[i]) : from[i]);
  });
}

void kernel(const KernelContext& k) {
  if (k.out(0).size() == 0) return;
  const auto value = [&](int i) { return k.has(i) ? &k.in(i) : nullptr; };
  std::vector<Resampling> axes;
  for (const auto& a : resized_axes(k.in(0).shape(), k.attr, {value(1), value(2), value(3)}))
    if (a.changes()) axes.push_back(resampling(a, k.attr));
  if (axes.empty()) return copy_elements(k.in(0), k.out(0));
  const DType dtype = k.in(0).dtype();
  const double outside = k.attr.real("extrapolation_value");
  if (k.attr.text("mode") == "nearest")
    return with_width(dtype, [&]<class U>(Type<U>) {
      U bits;
      std::memcpy(&bits, Tensor::scalar(dtype, outside).raw(), sizeof(U));
      resize_nearest<U>(k, axes, bits);
    });
  with_type(Numeric{}, dtype, [&]<class T>(Type<T>) {
    using C = std::conditional_t<(sizeof(T) > 2) && !std::is_same_v<T, float>, double, float>;
    resize_weighted<T, C>(k, axes);
  });
  extrapolate(k.out(0), axes, outside);
}

std::vector<ValueId> gradient(GradContext& g) {
  std::vector<ValueId> in = {g.dout(0), g.ints(*g.shape(g.in(0)))};
  for (int i = 1; i < 4; ++i) in.push_back(g.has(i) ? g.in(i) : ValueId::none);
  return {g.node("tessera::ResizeGrad", in, g.attr().all())};
}

// Scales were the second input, coordinates asymmetric. Nearest looked up along the axes that shrink and down along
// those that grow: the former are resized first, by themselves.
void adapt_11(RewriteContext& c) {
  c.in.resize(2, ValueId::none);
  c.in.insert(c.in.begin() + 1, ValueId::none);
  c.attributes["coordinate_transformation_mode"] = std::string("asymmetric");
  c.attributes["nearest_mode"] = std::string("floor");
  if (!c.has(2) || c.attr().text("mode") != "nearest") return;
  bool shrinks = true, grows = true;  // while scales are not known
  if (const Tensor* scales = c.build.value(c.in[2])) {
    const auto factors = doubles(*scales);
    shrinks = std::ranges::any_of(factors, [](double s) { return s < 1; });
    grows = std::ranges::any_of(factors, [](double s) { return s > 1; });
  }
  if (!shrinks) return;
  Attributes up = c.attributes;
  up["nearest_mode"] = std::string("ceil");
  if (!grows) {
    c.attributes = std::move(up);
    return;
  }
  const ValueId one = c.build.scalar_like(c.in[2], 1);
  c.in[0] = c.build.node("Resize", {c.in[0], ValueId::none, c.build.node("Min", {c.in[2], one})}, std::move(up));
  c.in[2] = c.build.node("Max", {c.in[2], one});
}

}  // namespace

extern constinit const OpDef op_resize = define({
    .name = "Resize",
    .since = 19,
    .introduced = 10,
    .doc = "The input sampled on a finer or coarser grid, along any of its axes. Integers are rounded to nearest.",
    .source = "ONNX Resize-19; Keys, Cubic convolution interpolation, IEEE TASSP 1981",
    .inputs = {{"X", "T1", "any shape"},
               {"roi", "T2", "[2 axes]: starts, then ends, as parts of the axes; tf_crop_and_resize only",
                Presence::optional},
               {"scales", "f32", "[axes]", Presence::optional},
               {"sizes", "i64", "[axes]; instead of scales", Presence::optional}},
    .outputs = {{"Y", "T1", "floor(dim x scale), or sizes"}},
    .attributes = resize_attributes,
    .types = {{"T1", dtypes::all}, {"T2", dtypes::floats}},
    .shape_reads = {1, 2, 3},
    .shape = shape,
    .identity_when = keeps_all,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{11, adapt_11}},
    .examples =
        {"{{1, 2}}; _; {1, 2} -> {{1, 1, 2, 2}}", "{1, 2, 3, 4}; _; _; i64{2}; mode=\"linear\" -> {1.5, 3.5}",
         "{1, 3}; _; {2}; mode=\"linear\"; coordinate_transformation_mode=\"asymmetric\" -> {1, 2, 3, 3}",
         "{{1, 2, 3, 4}, {5, 6, 7, 8}}; _; _; i64{2}; axes=[1]; nearest_mode=\"ceil\" -> {{2, 4}, {6, 8}}",
         "{1, 2, 3, 4}; _; _; i64{3}; mode=\"cubic\" -> {1.1261574, 2.5, 3.8738426}",
         "{1, 2, 3, 4}; _; _; i64{7}; mode=\"linear\"; coordinate_transformation_mode=\"align_corners\" -> {1, 1.5, "
         "2, 2.5, 3, 3.5, 4}",
         "{1, 2, 3, 4}; {0.5, 1.5}; _; i64{3}; mode=\"linear\"; "
         "coordinate_transformation_mode=\"tf_crop_and_resize\"; extrapolation_value=9.0 -> {2.5, 4, 9}",
         "{1, 2, 3, 4}; _; {0.5}; mode=\"linear\"; antialias=1 -> {1.625, 3.375}",
         "{1, 2}; _; {2}; mode=\"cubic\"; exclude_outside=1 -> {0.8636364, 1.2294521, 1.7705479, 2.1363636}"},
});

}  // namespace tessera
