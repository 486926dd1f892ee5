#include "ops/elementwise.h"
#include "ops/quantization.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

using Quantized = Types<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t>;

void dtype(const AttributeReader& attr, std::span<const DType> in, std::span<DType> out) {
  const DType asked = output_dtype(attr, dtypes::floats);
  out[0] = asked == DType::undefined ? in[1] : asked;
}

// Differences are exact: in 64 bits for 32-bit elements.
template <class T>
using Difference = std::conditional_t<sizeof(T) < 4, std::int32_t, std::int64_t>;

template <class T, class To>
void dequantize(const QuantizedRuns& runs, const T* x, const Compute<To>* scales, const T* zeros, To* y) {
  using C = Compute<To>;
  using D = Difference<T>;
  for_each_run(runs, [=](const QuantizedRun& r) {
    const auto write = [&](auto scale_at, auto zero_at) {
#pragma omp simd
      for (std::int64_t i = 0; i < r.n; ++i)
        store(y[r.begin + i], static_cast<C>(static_cast<D>(x[r.begin + i]) - zero_at(i)) * scale_at(i));
    };
    const C* scale = scales + r.scale;
    const T* zero = zeros ? zeros + r.scale : nullptr;
    const auto no_zero = [](std::int64_t) { return D{0}; };
    const auto own_scale = [=](std::int64_t i) { return scale[i]; };
    if (r.step == 0)
      write([s = *scale](std::int64_t) { return s; }, [z = zero ? D{*zero} : D{0}](std::int64_t) { return z; });
    else if (zero)
      write(own_scale, [=](std::int64_t i) { return static_cast<D>(zero[i]); });
    else
      write(own_scale, no_zero);
  });
}

void kernel(const KernelContext& k) {
  const QuantizedRuns runs(k.attr, k.in(0).shape(), k.in(1).shape());
  with_type(Floats{}, k.out(0).dtype(), [&]<class To>(Type<To>) {
    const Tensor scales = converted(k.in(1), dtype_of<Compute<To>>);
    with_type(Quantized{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
      dequantize<T, To>(runs, k.in(0).template read<T>().data(), scales.template read<Compute<To>>().data(),
                        k.has(2) ? k.in(2).template read<T>().data() : nullptr, k.out(0).template write<To>().data());
    });
  });
}

// dscale is the sum of dy (x - zero point) over the elements that share a scale.
std::vector<ValueId> gradient(GradContext& g) {
  if (!g.needs(1)) return {};
  const Shape x = *g.shape(g.in(0)), scale = *g.shape(g.in(1));
  const ValueId ones =
      g.node("ConstantOfShape", {g.ints(scale)}, {{"value", converted(Tensor::vector({1}), g.dtype(g.in(1)))}});
  const ValueId steps = g.node("DequantizeLinear", {g.in(0), ones, g.has(2) ? g.in(2) : ValueId::none}, g.attr().all());
  ValueId d = g.node("Mul", {g.dout(0), steps});
  const int axis = one_scale(g.attr(), scale) ? -1 : normal_axis(g.attr().integer("axis"), x.rank());
  if (const std::int64_t block = g.attr().integer("block_size")) {
    std::vector<std::int64_t> blocks;
    for (std::int64_t i = 0; i < x[static_cast<std::size_t>(axis)]; ++i) blocks.push_back(i / block);
    d = g.node("tessera::GatherGrad", {d, g.ints(blocks), g.ints(scale)}, {{"axis", std::int64_t{axis}}});
  } else {
    std::vector<std::int64_t> others;
    for (int a = 0; a < x.rank(); ++a)
      if (a != axis) others.push_back(a);
    const Attributes attributes{{"keepdims", std::int64_t{0}}, {"noop_with_empty_axes", std::int64_t{1}}};
    d = reshaped(g, g.node("ReduceSum", {d, g.ints(others)}, attributes), scale);
  }
  return {ValueId::none, g.cast(d, g.dtype(g.in(1)))};
}

}  // namespace

extern constinit const OpDef op_dequantize_linear = define({
    .name = "DequantizeLinear",
    .since = 25,
    .introduced = 10,
    .doc = "y = (x - x_zero_point) * x_scale, with one scale for all of x, one per slice along axis, or one per "
           "block_size elements of axis. A missing zero point is 0.",
    .source = "ONNX DequantizeLinear-25",
    .inputs = {{"x", "T1", "any shape"},
               {"x_scale", "T2", "scalar, [dim of axis], or x's shape with the number of blocks along axis"},
               {"x_zero_point", "T1", "shape of x_scale", Presence::optional}},
    .outputs = {{"y", "T3", "shape of x"}},
    .attributes = {{"axis", AttributeType::integer, 1, "of the scales, in [-rank, rank); one scale needs none"},
                   {"block_size", AttributeType::integer, 0, "elements of axis that share a scale; 0: no blocks"},
                   {"output_dtype", AttributeType::integer, 0, "element type of y; 0: that of x_scale"}},
    .types = {{"T1", set_of(Quantized{})}, {"T2", dtypes::floats}, {"T3", dtypes::floats}},
    .dtype = dtype,
    .shape = quantized_shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples =
        {"u8{0, 3, 128, 255}; 2; u8 128 -> {-256, -250, 0, 254}", "i8{{-128, 127}}; {0.5} -> {{-64, 63.5}}",
         "i8{{1, 2, 3}, {4, 5, 6}}; {0.5, 1, 2}; i8{0, 1, -1} -> {{0.5, 1, 8}, {2, 4, 14}}",
         "i8{{1, 2, 3}, {4, 5, 6}}; {0.5, 2}; axis=-2 -> {{0.5, 1, 1.5}, {8, 10, 12}}",
         "u8{{{1, 2}, {3, 4}, {5, 6}}}; {1, 2, 4}; u8{1, 2, 3} -> {{{0, 1}, {2, 4}, {8, 12}}}",
         "i16{{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}}; {{1, 2, 3}, {0, -1, 0.5}}; i16{{0, 1, 2}, {3, 4, 5}}; axis=1; "
         "block_size=2 -> {{1, 2, 4, 6, 9}, {0, 0, -4, -5, 2.5}}",
         "u16{{1, 2}, {3, 4}, {655, 6}}; {{1, 0.5}, {2, 0.25}}; axis=0; block_size=2 -> {{1, 1}, {3, 2}, {1310, 1.5}}",
         "i32{2147483647, -2147483648}; 1; i32 -1; output_dtype=11 -> f64{2147483648, -2147483647}",
         "i8{1, -3}; 0.5; output_dtype=10 -> f16{0.5, -1.5}", "i8[0x2]{}; {1, 2} -> f32[0x2]{}", "i8 3; 2 -> 6"},
});

}  // namespace tessera
