#pragma once
// What the windows of the ONNX standard share: sums of cosines over one period, a weight per sample of a signal.
#include <numbers>

#include "ops/elementwise.h"
#include "runtime/tensor/convert.h"

namespace tessera {

// y[n] = a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N)
struct Cosines {
  double a0, a1, a2;
};

// N is the size, or one less where the window is symmetric. A symmetric window of one sample is its middle, 1. The even
// terms come first: that of the Blackman window then is a whole 1 in the middle, which integers keep.
template <Cosines a>
void cosine_window_kernel(const KernelContext& k) {
  const std::int64_t size = k.out(0).size(), last = k.attr.flag("periodic") ? size : size - 1;
  const double step = 2 * std::numbers::pi / static_cast<double>(last);
  with_type(Numeric{}, k.out(0).dtype(), [&]<class T>(Type<T>) {
    T* y = k.out(0).template write<T>().data();
    run_parallel(size, 1024, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const double angle = step * static_cast<double>(n);
        y[n] = convert<T>(last == 0 ? 1.0 : (a.a0 + a.a2 * std::cos(2 * angle)) - a.a1 * std::cos(angle));
      }
    });
  });
}

inline void cosine_window_dtype(const AttributeReader& attr, std::span<const DType>, std::span<DType> out) {
  out[0] = attr.dtype("output_datatype");
  check(dtypes::numeric.has(out[0]), "attribute 'output_datatype' is ", attr.integer("output_datatype"),
        ", which is no numeric type");
}

inline void cosine_window_shape(ShapeContext& c) {
  check(c.value(0).size() == 1, "size must be a scalar, got shape ", c.in(0));
  const std::int64_t size = integers(c.value(0))[0];
  check(size >= 0, "size is ", size);
  c.out(0, {size});
}

// Completes a window's table.
constexpr OpDef cosine_window(OpDef op) {
  op.since = op.introduced = 17;
  op.inputs = {{"size", "T1", "scalar: the number of samples"}};
  op.outputs = {{"output", "T2", "[size]"}};
  op.attributes = {{"output_datatype", AttributeType::integer, 1, "the element type of output; default: f32"},
                   {"periodic", AttributeType::integer, 1, "1: N = size; 0: symmetric, N = size - 1"}};
  op.types = {{"T1", dtypes::indices}, {"T2", dtypes::numeric}};
  op.dtype = cosine_window_dtype;
  op.shape_reads = {0};
  op.shape = cosine_window_shape;
  op.gradient = no_gradient;
  return op;
}

}  // namespace tessera
