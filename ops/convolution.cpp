#include "ops/convolution.h"

#include <cstring>

#include "ops/linalg.h"
#include "ops/unfold.h"
#include "runtime/base/parts.h"

namespace tessera {
namespace {

// Pieces of the unfolded input: large enough for the products to run at speed (each packs its operands anew), small
// enough to stay in the caches: 4 MiB of f32.
constexpr std::int64_t piece_rows = 1024, piece_columns = 1024;

// c [m x n] = or += a b; a and b may be stored transposed.
template <class T>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, MatrixLayout a_layout, const T* b,
              MatrixLayout b_layout, T* c, std::int64_t c_stride, bool accumulate) {
  Product p;
  p.m = m;
  p.n = n;
  p.k = k;
  p.a = a_layout;
  p.b = b_layout;
  p.c = {c_stride};
  p.accumulate = accumulate;
  product(dtype_of<T>, p, a, b, c);
}

// Kernels of one element that step by one read x as it lies.
bool is_its_own_unfolding(const Window& window) {
  return std::all_of(window.begin(), window.end(), [](const WindowAxis& w) {
    return w.kernel == 1 && w.stride == 1 && w.begin == 0 && w.in == w.out;
  });
}

template <class T>
void forward(const Convolution& c, const T* x, const T* w, const T* bias, T* y) {
  const std::int64_t positions = c.positions(), rows = c.rows(), maps = c.maps / c.group;
  const std::int64_t pieces = divide_up(positions, piece_columns);
  const bool direct = is_its_own_unfolding(c.window);
  run_parallel(c.batch * c.group * pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t column = at % pieces * piece_columns, columns = std::min(piece_columns, positions - column);
      const std::int64_t block = at / pieces, group = block % c.group;  // block: (sample, group)
      const T* from = x + block * (c.channels / c.group) * c.inputs();
      const T* weights = w + group * maps * rows;
      T* to = y + block * maps * positions + column;
      for (std::int64_t m = 0; m < maps; ++m)
        std::fill_n(to + m * positions, columns, bias ? bias[group * maps + m] : T{0});
      if (direct) {
        multiply(maps, columns, rows, weights, {rows}, from + column, {positions}, to, positions, true);
        continue;
      }
      const Scratch<T> unfolded(std::min(piece_rows, rows) * columns);
      for (std::int64_t row = 0; row < rows; row += piece_rows) {
        const UnfoldedPiece piece{row, std::min(piece_rows, rows - row), column, columns};
        unfold(c.window, piece, from, unfolded.data());
        multiply(maps, columns, piece.rows, weights + row, {rows}, unfolded.data(), {columns}, to, positions, true);
      }
    }
  });
}

// Channels whose rows make up one piece.
std::int64_t channels_per_piece(const Convolution& c) {
  return std::clamp<std::int64_t>(piece_rows / 4 / std::max<std::int64_t>(c.taps(), 1), 1, c.channels / c.group);
}

// Each task owns some channels of x, so that overlapping windows are added in one order.
template <class T>
void transposed(const Convolution& c, const T* y, const T* w, const T* bias, T* x) {
  const std::int64_t positions = c.positions(), rows = c.rows(), maps = c.maps / c.group, taps = c.taps();
  const std::int64_t channels = c.channels / c.group, step = channels_per_piece(c), pieces = divide_up(channels, step);
  const std::int64_t inputs = c.inputs();
  run_parallel(c.batch * c.group * pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t first = at % pieces * step, many = std::min(step, channels - first);
      const std::int64_t block = at / pieces, group = block % c.group;
      T* to = x + (block * channels + first) * inputs;
      for (std::int64_t i = 0; i < many; ++i)
        std::fill_n(to + i * inputs, inputs, bias ? bias[group * channels + first + i] : T{0});
      const Scratch<T> unfolded(many * taps * std::min(piece_columns, positions));
      for (std::int64_t column = 0; column < positions; column += piece_columns) {
        const std::int64_t columns = std::min(piece_columns, positions - column);
        multiply(many * taps, columns, maps, w + group * maps * rows + first * taps, {rows, true},
                 y + block * maps * positions + column, {positions}, unfolded.data(), columns, false);
        fold(c.window, {0, many * taps, column, columns}, unfolded.data(), to);
      }
    }
  });
}

// Each task owns some columns of dw and adds up samples and positions in one order.
template <class T>
void weights(const Convolution& c, const T* x, const T* dy, T* dw) {
  const std::int64_t positions = c.positions(), rows = c.rows(), maps = c.maps / c.group;
  const std::int64_t step = std::min(rows, piece_rows / 4), pieces = rows == 0 ? 0 : divide_up(rows, step);
  const std::int64_t channels = c.channels / c.group;
  std::fill_n(dw, c.maps * rows, T{0});
  run_parallel(c.group * pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t group = at / pieces, row = at % pieces * step, many = std::min(step, rows - row);
      const Scratch<T> unfolded(many * std::min(piece_columns, positions));
      for (std::int64_t sample = 0; sample < c.batch; ++sample)
        for (std::int64_t column = 0; column < positions; column += piece_columns) {
          const std::int64_t columns = std::min(piece_columns, positions - column), block = sample * c.group + group;
          unfold(c.window, {row, many, column, columns}, x + block * channels * c.inputs(), unfolded.data());
          multiply(maps, many, columns, dy + block * maps * positions + column, {positions}, unfolded.data(),
                   {columns, true}, dw + group * maps * rows + row, rows, true);
        }
    }
  });
}

Tensor widened(DType dtype, std::int64_t n, const void* from) {
  return converted(Tensor::borrow(dtype, {n}, const_cast<void*>(from)), DType::f32);
}

// Calls sum<T>(a, b, bias, out) in f32 or f64; sixteen-bit operands of these sizes are widened, the result is rounded.
template <class Sum>
void in_wide_type(DType dtype, std::array<std::int64_t, 4> sizes, const void* a, const void* b, const void* bias,
                  void* out, Sum sum) {
  const auto call = [&]<class T>(Type<T>, const void* p, const void* q, const void* r, void* to) {
    sum(static_cast<const T*>(p), static_cast<const T*>(q), static_cast<const T*>(r), static_cast<T*>(to));
  };
  if (dtype == DType::f64) return call(Type<double>{}, a, b, bias, out);
  if (dtype == DType::f32) return call(Type<float>{}, a, b, bias, out);
  const Tensor wide_a = widened(dtype, sizes[0], a), wide_b = widened(dtype, sizes[1], b);
  const Tensor wide_bias = bias ? widened(dtype, sizes[2], bias) : Tensor();
  const Tensor wide(DType::f32, {sizes[3]});
  call(Type<float>{}, wide_a.raw(), wide_b.raw(), wide_bias.raw(), wide.raw());
  const Tensor rounded = converted(wide, dtype);
  std::memcpy(out, rounded.raw(), rounded.bytes());
}

}  // namespace

double Convolution::flops() const {
  return 2.0 * static_cast<double>(batch) * static_cast<double>(maps) * static_cast<double>(rows()) *
         static_cast<double>(positions());
}

Shape spatial(const Shape& s) { return Shape(s.begin() + 2, s.end()); }

void check_kernel_shape(const AttributeReader& attr, const Shape& w) {
  const auto kernel = attr.integers("kernel_shape");
  check(kernel.empty() || Shape(kernel) == spatial(w), "kernel_shape ", Shape(kernel), " is not that of W ", w);
}

Convolution grouped(const Shape& weights, std::int64_t batch, std::int64_t channels, std::int64_t group) {
  check(group >= 1, "group is ", group);
  check(channels % group == 0 && weights[1] == channels / group, "weights ", weights, " do not fit ", channels,
        " channels in ", group, " groups");
  check(weights[0] % group == 0, weights[0], " maps do not split into ", group, " groups");
  return {batch, group, channels, weights[0], {}};
}

void convolve(DType dtype, const Convolution& c, const void* x, const void* w, const void* bias, void* y) {
  const std::int64_t size = c.batch * c.maps * c.positions();
  if (size == 0) return;
  in_wide_type(dtype, {c.batch * c.channels * c.inputs(), c.maps * c.rows(), c.maps, size}, x, w, bias, y,
               [&]<class T>(const T* a, const T* b, const T* d, T* out) { forward(c, a, b, d, out); });
}

void convolve_transposed(DType dtype, const Convolution& c, const void* y, const void* w, const void* bias, void* x) {
  const std::int64_t size = c.batch * c.channels * c.inputs();
  if (size == 0) return;
  in_wide_type(dtype, {c.batch * c.maps * c.positions(), c.maps * c.rows(), c.channels, size}, y, w, bias, x,
               [&]<class T>(const T* a, const T* b, const T* d, T* out) { transposed(c, a, b, d, out); });
}

void convolve_weights(DType dtype, const Convolution& c, const void* x, const void* dy, void* dw) {
  if (c.maps * c.rows() == 0) return;
  in_wide_type(dtype, {c.batch * c.channels * c.inputs(), c.batch * c.maps * c.positions(), 0, c.maps * c.rows()}, x,
               dy, nullptr, dw, [&]<class T>(const T* a, const T* b, const T*, T* out) { weights(c, a, b, out); });
}

ValueId bias_gradient(GradContext& g) {
  std::vector<std::int64_t> axes{0};
  for (int i = 2; i < g.shape(g.dout(0))->rank(); ++i) axes.push_back(i);
  return g.node("ReduceSum", {g.dout(0), g.ints(axes)}, {{"keepdims", std::int64_t{0}}});
}

}  // namespace tessera
