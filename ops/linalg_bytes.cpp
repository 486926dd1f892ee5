#include "ops/linalg_bytes.h"

#include <algorithm>

#include "ops/linalg_tile.h"
#include "runtime/base/parts.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace {

// Widened pieces of both operands and their sums stay within L2.
constexpr std::int64_t kDepth = 256, kRows = 128, kColumns = 256;
static_assert(kDepth * 255 * 255 < 1 << 24);

// So few rows multiply the bytes of B as they come: widening them would take longer than the products. Wide pieces,
// since rows of B are then read for the first and only time.
constexpr std::int64_t kFewRows = 2, kColumnsOfFewRows = 512;

// Multiply-adds that are worth a task of their own.
constexpr std::int64_t kTaskVolume = 1 << 20;

// Rows and columns of C: one task's, of one product of the batch.
struct Piece {
  std::int64_t of_a, of_b;  // where the operands start
  std::int64_t row, rows, column, columns;
  std::int32_t* c;  // the first element
};

template <class F>
void with_bytes(const ByteMatrix& matrix, std::int64_t offset, F&& f) {
  matrix.is_signed ? f(static_cast<const std::int8_t*>(matrix.data) + offset)
                   : f(static_cast<const std::uint8_t*>(matrix.data) + offset);
}

float zero_of_row(const ByteMatrix& a, std::int64_t row) { return a.zeros.empty() ? 0 : a.zeros[row % a.zeros.size()]; }

// Of columns [first, first + n).
template <class C>
void zeros_of_columns(const ByteMatrix& b, std::int64_t first, std::int64_t n, C* to) {
  for (std::int64_t j = 0; j < n; ++j)
    to[j] = b.zeros.empty() ? C{0} : static_cast<C>(b.zeros.size() == 1 ? b.zeros[0] : b.zeros[first + j]);
}

// c = sums, or c + sums.
void take_in(const float* sums, std::int64_t n, bool first, std::int32_t* c) {
#pragma omp simd
  for (std::int64_t j = 0; j < n; ++j) {
    const auto sum = static_cast<std::uint32_t>(static_cast<std::int32_t>(sums[j]));
    c[j] = static_cast<std::int32_t>(first ? sum : static_cast<std::uint32_t>(c[j]) + sum);
  }
}

void by_f32(const Product& p, const ByteMatrix& a, const ByteMatrix& b, const Piece& at) {
  const std::int64_t m = at.rows, n = at.columns, depth = std::min(kDepth, p.k);
  const Scratch<float> wide_a(m * depth), wide_b(depth * n), zeros(n), sums(m * n);
  zeros_of_columns(b, at.column, n, zeros.data());
  for (std::int64_t k = 0; k < p.k; k += depth) {
    const std::int64_t d = std::min(depth, p.k - k);
    with_bytes(a, at.of_a + k, [&](const auto* from) {
      for (std::int64_t i = 0; i < m; ++i) {
        const auto* row = from + (at.row + i) * p.a.row_stride;
        const float zero = zero_of_row(a, at.row + i);
#pragma omp simd
        for (std::int64_t j = 0; j < d; ++j) wide_a[i * d + j] = static_cast<float>(row[j]) - zero;
      }
    });
    with_bytes(b, at.of_b + at.column, [&](const auto* from) {
      for (std::int64_t i = 0; i < d; ++i) {
        const auto* row = from + (k + i) * p.b.row_stride;
#pragma omp simd
        for (std::int64_t j = 0; j < n; ++j) wide_b[i * n + j] = static_cast<float>(row[j]) - zeros[j];
      }
    });
    f32_tile({m, n, d, d, n, n, false, false, 1, false}, wide_a.data(), wide_b.data(), sums.data());
    for (std::int64_t i = 0; i < m; ++i) take_in(&sums[i * n], n, k == 0, at.c + i * p.c.row_stride);
  }
}

// In 32 bits, unsigned: they wrap, and their bits are those of signed ones. Four rows of B at a time; zero points of
// its columns are taken off the sums: sum_k x_k (b_kj - z_j) = sum_k x_k b_kj - z_j sum_k x_k.
void of_few_rows(const Product& p, const ByteMatrix& a, const ByteMatrix& b, const Piece& at) {
  const std::int64_t n = at.columns;
  const Scratch<std::uint32_t> sums(n);
  const Scratch<std::int32_t> zeros(n);
  zeros_of_columns(b, at.column, n, zeros.data());
  for (std::int64_t i = at.row; i < at.row + at.rows; ++i) {
    const auto zero = static_cast<std::int32_t>(zero_of_row(a, i));
    std::uint32_t total = 0;
    std::fill_n(sums.data(), n, 0u);
    with_bytes(a, at.of_a + i * p.a.row_stride, [&](const auto* row) {
      with_bytes(b, at.of_b + at.column, [&]<class T>(const T* from) {
        for (std::int64_t k = 0; k < p.k; k += 4) {
          std::uint32_t x[4];
          const T* rows[4];
          for (std::int64_t u = 0; u < 4; ++u) {
            const std::int64_t in = std::min(k + u, p.k - 1);
            x[u] = k + u < p.k ? static_cast<std::uint32_t>(row[in] - zero) : 0;
            rows[u] = from + in * p.b.row_stride;
            total += x[u];
          }
#pragma omp simd
          for (std::int64_t j = 0; j < n; ++j)
            sums[j] += x[0] * static_cast<std::uint32_t>(rows[0][j]) + x[1] * static_cast<std::uint32_t>(rows[1][j]) +
                       x[2] * static_cast<std::uint32_t>(rows[2][j]) + x[3] * static_cast<std::uint32_t>(rows[3][j]);
        }
      });
    });
    std::int32_t* const to = at.c + (i - at.row) * p.c.row_stride;
    for (std::int64_t j = 0; j < n; ++j)
      to[j] = static_cast<std::int32_t>(sums[j] - static_cast<std::uint32_t>(zeros[j]) * total);
  }
}

}  // namespace

void byte_product(const Product& p, const ByteMatrix& a, const ByteMatrix& b, std::int32_t* c) {
  const std::int64_t batches = count(p.batch);
  if (batches == 0 || p.m == 0 || p.n == 0) return;
  const bool few = p.m <= kFewRows || p.k == 0;
  const std::int64_t rows = even_part(p.m, kRows, 8), columns = even_part(p.n, few ? kColumnsOfFewRows : kColumns, 16);
  const std::int64_t across = divide_up(p.n, columns), pieces = divide_up(p.m, rows) * across;
  const std::int64_t volume = std::min(rows, p.m) * std::min(columns, p.n) * std::max<std::int64_t>(p.k, 1);
  run_parallel(batches * pieces, divide_up(kTaskVolume, volume), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t batch = task / pieces, i = task % pieces / across * rows, j = task % across * columns;
      const Piece at{batch_offset(p.batch, p.a.batch_strides, batch),
                     batch_offset(p.batch, p.b.batch_strides, batch),
                     i,
                     std::min(rows, p.m - i),
                     j,
                     std::min(columns, p.n - j),
                     c + batch_offset(p.batch, p.c.batch_strides, batch) + i * p.c.row_stride + j};
      few ? of_few_rows(p, a, b, at) : by_f32(p, a, b, at);
    }
  });
}

}  // namespace tessera
