#include "ops/linalg.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "ops/linalg_panels.h"
#include "ops/linalg_tile.h"
#include "runtime/base/error.h"
#include "runtime/base/parts.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace {

bool eigen_only() {
  static const bool asked = [] {
    const char* choice = std::getenv("TESSERA_GEMM");
    check(!choice || std::string_view(choice) == "eigen", "TESSERA_GEMM is '", choice ? choice : "",
          "'; 'eigen' is all it can say");
    return choice != nullptr;
  }();
  return asked;
}

bool native_bf16() { return multiplies_bf16() && !eigen_only(); }

// How one product of the batch is cut into pieces of rows x columns; k is never cut, so every element of C is summed by
// one call in one order. `batches` products that are too small to be cut make one task.
struct Split {
  std::int64_t rows, columns, row_pieces, column_pieces, batches;
};

// Multiply-adds that are worth a task of their own: about 20 us of f32.
constexpr double task_volume = 1 << 21;

Split split(DType dtype, std::int64_t batches, std::int64_t m, std::int64_t n, std::int64_t k) {
  const double volume =
      static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(std::max<std::int64_t>(k, 1));
  if (volume <= task_volume) return {m, n, 1, 1, static_cast<std::int64_t>(task_volume / std::max(volume, 64.0)) + 1};
  const bool onednn = (dtype == DType::f32 && !eigen_only()) || (dtype == DType::bf16 && native_bf16());
  // dnnl_sgemm packs both operands anew in every call. With 1024 rows per call that costs 1-2 % of 4096x1536x1536,
  // 4096x8960x1536 and 4096x1536x8960 (one thread, against one call), with 512 rows 6-8 %; two threads then reach 1.93
  // to 1.96 of one. Its register tile is 48 columns by 8 rows (AVX-512). The others keep their packed pieces in the
  // cache.
  Split s{};
  s.rows = even_part(m, onednn ? 1024 : 256, 8);
  s.columns = even_part(n, onednn ? 4608 : 512, 48);
  // Fewer than four pieces leave threads idle (two are enough for what takes less than a millisecond).
  const std::int64_t wanted = volume < (1 << 27) ? 2 : 4;
  while (batches * divide_up(m, s.rows) * divide_up(n, s.columns) < wanted) {
    if (s.rows >= s.columns && s.rows > 32)
      s.rows = even_part(m, divide_up(s.rows, 2), 8);
    else if (s.columns > 96)
      s.columns = even_part(n, divide_up(s.columns, 2), 48);
    else
      break;
  }
  s.row_pieces = divide_up(m, s.rows);
  s.column_pieces = divide_up(n, s.columns);
  s.batches = 1;
  return s;
}

}  // namespace

// Which library multiplies f32. Measured (us, Eigen : oneDNN): 16x16x16 0.15 : 0.25; 24x24x24 0.39 : 0.37; 64x64x64 3.1
// : 2.5, but with B transposed 24x24x24 0.42 : 0.58; 64x64x64 3.2 : 3.5; 128x128x128 20 : 19. Dot products 2.1 : 6.7.
void f32_tile(const Tile& t, const float* a, const float* b, float* c) {
  const std::int64_t volume = t.m * t.n * t.k;
  if (volume <= (t.b_transposed ? 64 * 64 * 64 : 20 * 20 * 20) || (t.m == 1 && t.n == 1) || eigen_only())
    eigen_tile(t, a, b, c);
  else
    onednn_tile(t, a, b, c);
}

namespace {

void library_tile(const Tile& t, const float* a, const float* b, float* c) { f32_tile(t, a, b, c); }
template <class T>
void library_tile(const Tile& t, const T* a, const T* b, T* c) {
  eigen_tile(t, a, b, c);
}

// A piece of the product, of elements T to a result in R: where it starts in the operands and what to add to it.
template <class T, class R>
struct Piece {
  Tile tile;
  const T *a, *b;
  const R* addend;
  R* c;
  std::int64_t addend_rows, addend_columns;
  float beta;
};

// c = beta D, or zeros, in the type the product is summed in.
template <class T, class R>
void start(const Piece<T, R>& p, Compute<T>* c, std::int64_t c_stride) {
  using C = Compute<T>;
  const C beta = static_cast<C>(p.beta);
  for (std::int64_t i = 0; i < p.tile.m; ++i) {
    C* row = c + i * c_stride;
    const R* d = p.addend ? p.addend + i * p.addend_rows : nullptr;
    if (!d)
      std::fill_n(row, p.tile.n, C{0});
    else if (p.addend_columns == 1)
      for (std::int64_t j = 0; j < p.tile.n; ++j) row[j] = beta * static_cast<C>(d[j]);
    else
      for (std::int64_t j = 0; j < p.tile.n; ++j) row[j] = beta * static_cast<C>(d[j * p.addend_columns]);
  }
}

template <class T>
requires(sizeof(T) > 2) void compute(Piece<T, T> p) {
  if (p.addend || (p.tile.k == 0 && !p.tile.accumulate)) start(p, p.c, p.tile.c_stride);
  p.tile.accumulate = p.tile.accumulate || p.addend != nullptr;
  if (p.tile.k > 0) library_tile(p.tile, p.a, p.b, p.c);
}

// Rows of a sixteen-bit block as f32, densely.
template <class T>
void widen(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t columns, float* to) {
  for (std::int64_t i = 0; i < rows; ++i)
#pragma omp simd
    for (std::int64_t j = 0; j < columns; ++j) to[i * columns + j] = static_cast<float>(from[i * stride + j]);
}

// bf16 by instructions of the CPU: 1.6 to 1.9 times the speed of dnnl_sgemm in f32 on one thread (256^3 to
// 4096x8960x1536).
void compute_native(const Piece<bf16, bf16>& p) {
  Tile t = p.tile;
  if (t.alpha == 1 && !p.addend) return onednn_tile(t, p.a, p.b, p.c);
  const Scratch<float> c(t.m * t.n);
  t.c_stride = t.n;
  onednn_tile(t, p.a, p.b, c.data());
  for (std::int64_t i = 0; i < t.m; ++i)
    for (std::int64_t j = 0; j < t.n; ++j) {
      float y = t.alpha * c[i * t.n + j];
      if (p.addend) y += p.beta * static_cast<float>(p.addend[i * p.addend_rows + j * p.addend_columns]);
      p.c[i * p.tile.c_stride + j] = static_cast<bf16>(y);
    }
}
void compute_native(const Piece<bf16, float>& p) {
  Tile t = p.tile;
  t.accumulate = p.addend != nullptr;
  if (p.addend) start(p, p.c, t.c_stride);
  onednn_tile(t, p.a, p.b, p.c);
}

// Sixteen-bit floats: pieces of both operands are widened, k in panels, so the working memory stays within the cache.
template <class T, class R>
requires(sizeof(T) == 2) void compute(Piece<T, R> p) {
  constexpr std::int64_t panel = 512;
  if (p.tile.accumulate) {
    p.addend = p.c;
    p.addend_rows = p.tile.c_stride;
    p.addend_columns = 1;
    p.beta = 1;
  }
  if constexpr (std::is_same_v<T, bf16>)
    if (native_bf16() && p.tile.m * p.tile.n * p.tile.k > 32 * 32 * 32) return compute_native(p);
  const Tile& t = p.tile;
  const std::int64_t depth = std::min(panel, std::max<std::int64_t>(t.k, 1));
  const Scratch<float> a(t.m * depth), b(depth * t.n), c(t.m * t.n);
  Tile wide = t;
  wide.c_stride = t.n;
  wide.accumulate = p.addend != nullptr;
  if (p.addend || t.k == 0) start(p, c.data(), t.n);
  for (std::int64_t k = 0; k < t.k; k += panel) {
    wide.k = std::min(panel, t.k - k);
    wide.a_stride = t.a_transposed ? t.m : wide.k;
    wide.b_stride = t.b_transposed ? wide.k : t.n;
    if (t.a_transposed)
      widen(p.a + k * t.a_stride, t.a_stride, wide.k, t.m, a.data());
    else
      widen(p.a + k, t.a_stride, t.m, wide.k, a.data());
    if (t.b_transposed)
      widen(p.b + k, t.b_stride, t.n, wide.k, b.data());
    else
      widen(p.b + k * t.b_stride, t.b_stride, wide.k, t.n, b.data());
    f32_tile(wide, a.data(), b.data(), c.data());
    wide.accumulate = true;
  }
  for (std::int64_t i = 0; i < t.m; ++i)
#pragma omp simd
    for (std::int64_t j = 0; j < t.n; ++j) p.c[i * t.c_stride + j] = static_cast<R>(c[i * t.n + j]);
}

template <class T, class R>
void typed_product(DType dtype, const Product& p, const T* a, const T* b, R* c) {
  const std::int64_t batches = count(p.batch);
  if (batches == 0 || p.m == 0 || p.n == 0) return;
  if constexpr (std::is_same_v<T, float> && std::is_same_v<R, float>)
    if (!eigen_only() && suits_panels(p)) return panel_product(p, a, b, c);
  const Split s = split(dtype, batches, p.m, p.n, p.k);
  const std::int64_t pieces = s.row_pieces * s.column_pieces;
  const R* addend = static_cast<const R*>(p.addend);
  run_parallel(batches * pieces, s.batches, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t batch = at / pieces, piece = at % pieces;
      const std::int64_t i = piece / s.column_pieces * s.rows, j = piece % s.column_pieces * s.columns;
      const Tile tile{std::min(s.rows, p.m - i),
                      std::min(s.columns, p.n - j),
                      p.k,
                      p.a.row_stride,
                      p.b.row_stride,
                      p.c.row_stride,
                      p.a.transposed,
                      p.b.transposed,
                      p.alpha,
                      p.accumulate};
      compute(Piece<T, R>{
          tile, a + batch_offset(p.batch, p.a.batch_strides, batch) + (p.a.transposed ? i : i * p.a.row_stride),
          b + batch_offset(p.batch, p.b.batch_strides, batch) + (p.b.transposed ? j * p.b.row_stride : j),
          addend ? addend + i * p.addend_rows + j * p.addend_columns : nullptr,
          c + batch_offset(p.batch, p.c.batch_strides, batch) + i * p.c.row_stride + j, p.addend_rows, p.addend_columns,
          p.beta});
    }
  });
}

}  // namespace

std::int64_t batch_offset(const Shape& batch, const Shape& strides, std::int64_t at) {
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    const std::int64_t dim = batch[batch.size() - 1 - i];
    offset += at % dim * strides[strides.size() - 1 - i];
    at /= dim;
  }
  return offset;
}

double Product::flops() const {
  double f = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  for (const auto d : batch) f *= static_cast<double>(d);
  return f;
}

void product(DType dtype, const Product& p, const void* a, const void* b, void* c) {
  with_type(ProductCarriers{}, product_carrier(dtype), [&]<class T>(Type<T>) {
    typed_product(dtype, p, static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(c));
  });
}

void wide_product(DType dtype, const Product& p, const void* a, const void* b, float* c) {
  with_type(Types<f16, bf16>{}, dtype,
            [&]<class T>(Type<T>) { typed_product(dtype, p, static_cast<const T*>(a), static_cast<const T*>(b), c); });
}

}  // namespace tessera
