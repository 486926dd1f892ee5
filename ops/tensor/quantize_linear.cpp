#include <cmath>
#include <limits>

#include "ops/elementwise.h"
#include "ops/quantization.h"
#include "runtime/tensor/convert.h"

namespace tessera {
namespace {

using Quantizable = Types<float, double, f16, bf16, std::int32_t>;
using Quantized = Types<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t>;

// The type of y is that of the zero point, or asked for, or u8.
void dtype(const AttributeReader& attr, std::span<const DType> in, std::span<DType> out) {
  const DType asked = output_dtype(attr, set_of(Quantized{})), zero = in.size() > 2 ? in[2] : DType::undefined;
  check(asked == DType::undefined || zero == DType::undefined || asked == zero, "output_dtype is ", asked,
        ", y_zero_point ", zero);
  out[0] = zero != DType::undefined ? zero : asked != DType::undefined ? asked : DType::u8;
}

// What quotients are rounded to before they are rounded to integers; of integers by integers they are as exact as f64.
DType precision(const AttributeReader& attr, DType scale) {
  const bool given = attr.integer("precision") != 0;
  if (!given && scale == DType::i32) return DType::f64;
  const DType type = given ? attr.dtype("precision") : scale;
  check(dtypes::floats.has(type), Code::unsupported, "precision ", type, " is no floating type");
  return type;
}

void shape(ShapeContext& c) {
  precision(c.attr, c.dtype(1));
  quantized_shape(c);
}

// Quotients of T rounded to P are computed in f32 where that has all bits of both.
template <class T, class P>
using Quotient =
    std::conditional_t<(sizeof(T) > 2 && !std::is_same_v<T, float>) || std::is_same_v<P, double>, double, float>;

template <class P, class T, class Q>
void divide(const T* x, const Q* scale, std::int64_t step, std::int64_t n, Q* quotient) {
  const auto rounded = [](Q q) {
    if constexpr (std::is_same_v<P, Q>)
      return q;
    else
      return static_cast<Q>(static_cast<Compute<P>>(convert<P>(q)));
  };
  const auto value = [=](std::int64_t i) { return static_cast<Q>(static_cast<Compute<T>>(x[i])); };
  if (step == 0) {
    const Q s = *scale;
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) quotient[i] = rounded(value(i) / s);
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) quotient[i] = rounded(value(i) / scale[i]);
  }
}

// To the nearest integer, halves to the even one, moved by the zero point and clamped; NaN is 0.
template <class To, class Q>
void saturate(const Q* quotient, const To* zero, std::int64_t step, std::int64_t n, To* y) {
  constexpr Q least = std::numeric_limits<To>::min(), most = std::numeric_limits<To>::max();
  const auto write = [=](auto zero_at) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
      const Q whole = std::nearbyint(quotient[i]), moved = (whole == whole ? whole : Q{0}) + zero_at(i);
      y[i] = static_cast<To>(static_cast<std::int32_t>(moved < least ? least : moved > most ? most : moved));
    }
  };
  if (zero && step == 1)
    write([=](std::int64_t i) { return static_cast<Q>(zero[i]); });
  else
    write([z = zero ? static_cast<Q>(*zero) : Q{0}](std::int64_t) { return z; });
}

template <class T, class P>
void quantize(const KernelContext& k) {
  using Q = Quotient<T, P>;
  const QuantizedRuns runs(k.attr, k.in(0).shape(), k.in(1).shape());
  const Tensor scales = converted(k.in(1), dtype_of<Q>);
  const T* x = k.in(0).read<T>().data();
  const Q* scale = scales.read<Q>().data();
  with_type(Quantized{}, k.out(0).dtype(), [&]<class To>(Type<To>) {
    const To* zero = k.has(2) ? k.in(2).template read<To>().data() : nullptr;
    To* y = k.out(0).template write<To>().data();
    for_each_run(runs, [=](const QuantizedRun& r) {
      Q quotient[quantized_columns];
      divide<P>(x + r.begin, scale + r.scale, r.step, r.n, quotient);
      saturate(quotient, zero ? zero + r.scale : nullptr, r.step, r.n, y + r.begin);
    });
  });
}

void kernel(const KernelContext& k) {
  with_type(Quantizable{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    with_type(Floats{}, precision(k.attr, k.in(1).dtype()), [&]<class P>(Type<P>) { quantize<T, P>(k); });
  });
}

}  // namespace

extern constinit const OpDef op_quantize_linear = define({
    .name = "QuantizeLinear",
    .since = 25,
    .introduced = 10,
    .doc = "y = saturate(round(x / y_scale) + y_zero_point), halves rounded to even, with one scale for all of x, one "
           "per slice along axis, or one per block_size elements of axis. A missing zero point is 0; NaN becomes the "
           "zero point.",
    .source = "ONNX QuantizeLinear-25",
    .inputs = {{"x", "T1", "any shape"},
               {"y_scale", "T2", "scalar, [dim of axis], or x's shape with the number of blocks along axis"},
               {"y_zero_point", "T3", "shape of y_scale; its type is y's", Presence::optional}},
    .outputs = {{"y", "T3", "shape of x"}},
    .attributes = {{"axis", AttributeType::integer, 1, "of the scales, in [-rank, rank); one scale needs none"},
                   {"block_size", AttributeType::integer, 0, "elements of axis that share a scale; 0: no blocks"},
                   {"output_dtype", AttributeType::integer, 0, "element type of y without zero point; 0: u8"},
                   {"precision", AttributeType::integer, 0, "element type of x / y_scale; 0: that of y_scale"},
                   {"saturate", AttributeType::integer, 1, "concerns 8-bit floats only"}},
    .types = {{"T1", set_of(Quantizable{})}, {"T2", set_of(Quantizable{})}, {"T3", set_of(Quantized{})}},
    .dtype = dtype,
    .shape = shape,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{0, 2, 3, 1000, -254, -1000}; 2; u8 128 -> u8{128, 129, 130, 255, 1, 0}",
                 "{-0.5, 0.5, 1.5, 2.5, inf, nan}; 1 -> u8{0, 0, 2, 2, 255, 0}",
                 "{-inf, -127.5, 127.5, nan}; {1}; i8{1} -> i8{-128, -127, 127, 1}",
                 "{{1, 2, 3}, {-4, 5, 1000}}; {0.5, 1, 2}; i8{0, 1, -1} -> i8{{2, 3, 1}, {-8, 6, 127}}",
                 "{{1, 2}, {3, 4}}; {0.5, 2}; axis=-2; output_dtype=5 -> i16{{2, 4}, {2, 2}}",
                 "{{{1, 2}, {3, 4}, {5, 6}}}; {1, 2, 4}; u16{1, 2, 3} -> u16{{{2, 3}, {4, 4}, {4, 5}}}",
                 "{{1, 2, 3, 4, 5}}; {{1, 2, 0.5}}; i8{{0, 1, -1}}; block_size=2 -> i8{{1, 2, 3, 3, 9}}",
                 "{{1, 2}, {3, 4}, {5, 6}}; {{1, 0.5}, {2, 4}}; axis=0; block_size=2 -> u8{{1, 4}, {3, 8}, {2, 2}}",
                 "i32{7, -7, 2147483647}; i32 2; i16 0 -> i16{4, -4, 32767}",
                 "f64{2.50001}; f64{1}; precision=10 -> u8{2}", "f32[0x2]{}; {1, 2} -> u8[0x2]{}", "3; 2 -> u8 2"},
});

}  // namespace tessera
