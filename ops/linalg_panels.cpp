// Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 2008, without packing A:
// broadcasts read its rows where they lie. A task owns rows x columns of C. Per chunk of k it packs its part of B into
// panels [k x 48]; a tile of 8 x 48 of C is summed in 24 registers along the whole chunk, one panel streaming from L2
// past 128 rows of A before the next.
//
// Measured on one thread of a Zen 5 (peak 258 GFLOP/s; dnnl_sgemm 234): 246 with B packed beforehand; 8 x 48 against
// 12 x 32 and 14 x 32: 246, 242, 239. Chunks of 1536 against 768 and 384: 246, 241, 234: each chunk reads and writes
// the tile of C once more. Packing costs 0.15 ns per element, 1 % when a task has 2048 rows.
#include "ops/linalg_panels.h"

#include <algorithm>

#include "ops/simd.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace {

using simd::Vec;

constexpr int lanes = simd::kLanes<float>;
constexpr int tile_rows = 8, tile_vectors = 3, tile_columns = tile_vectors * lanes;
constexpr std::int64_t chunk_depth = 1536, block_rows = 128, task_columns = 8 * tile_columns, task_rows = 2048;

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

struct Matrix {
  const float* data;
  std::int64_t stride;
};

// c = from + a panel, on R rows and one panel's columns; without `from`, c = a panel. A function of its own: inlined,
// GCC 12 spills the sums.
template <int R, bool has_from>
[[gnu::noinline]] void multiply(Matrix a, const float* panel, std::int64_t depth, Matrix from, float* c,
                                std::int64_t c_stride) {
  Vec<float> sum[R][tile_vectors] = {};
  if constexpr (has_from) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < tile_vectors; ++v) sum[r][v] = simd::load(from.data + r * from.stride + v * lanes);
    }
  }
  const float *low = a.data, *high = a.data + 4 * a.stride;
  for (std::int64_t s = 0; s < depth; ++s) {
    Vec<float> b[tile_vectors];
#pragma GCC unroll 8
    for (int v = 0; v < tile_vectors; ++v) b[v] = simd::load(panel + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec<float> x = simd::broadcast<float>(r < 4 ? low[r * a.stride] : high[(r - 4) * a.stride]);
#pragma GCC unroll 8
      for (int v = 0; v < tile_vectors; ++v) sum[r][v] = simd::multiply_add<float>(x, b[v], sum[r][v]);
    }
    // The next rows of A: the hardware does not run ahead across rows. Only a hint, harmless past the end.
    __builtin_prefetch(a.data + (tile_rows + s % tile_rows) * a.stride + s / tile_rows * lanes, 0, 2);
    ++low, ++high;
    panel += tile_columns;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < tile_vectors; ++v) simd::store<float>(c + r * c_stride + v * lanes, sum[r][v]);
  }
}

template <int R = tile_rows>
void multiply_rows(std::int64_t rows, Matrix a, const float* panel, std::int64_t depth, Matrix from, float* c,
                   std::int64_t c_stride) {
  if constexpr (R > 1)
    if (rows < R) return multiply_rows<R - 1>(rows, a, panel, depth, from, c, c_stride);
  from.data ? multiply<R, true>(a, panel, depth, from, c, c_stride)
            : multiply<R, false>(a, panel, depth, from, c, c_stride);
}

// A tile with fewer columns than a panel: by way of a whole one.
void multiply_edge(std::int64_t rows, std::int64_t columns, Matrix a, const float* panel, std::int64_t depth,
                   Matrix from, float* c, std::int64_t c_stride) {
  float tile[tile_rows * tile_columns] = {};
  if (from.data)
    for (std::int64_t r = 0; r < rows; ++r) std::copy_n(from.data + r * from.stride, columns, tile + r * tile_columns);
  multiply_rows(rows, a, panel, depth, {tile, tile_columns}, tile, tile_columns);
  for (std::int64_t r = 0; r < rows; ++r) std::copy_n(tile + r * tile_columns, columns, c + r * c_stride);
}

// panel[s][j] = alpha b[s][j] for j < columns, 0 for the rest of the panel.
void pack(const float* b, std::int64_t stride, std::int64_t depth, std::int64_t columns, float alpha, float* panel) {
  for (std::int64_t s = 0; s < depth; ++s, b += stride, panel += tile_columns) {
    std::int64_t j = 0;
    for (; j < columns; ++j) panel[j] = alpha * b[j];
    for (; j < tile_columns; ++j) panel[j] = 0;
  }
}

// The same of a B stored transposed: b[j][s].
void pack_transposed(const float* b, std::int64_t stride, std::int64_t depth, std::int64_t columns, float alpha,
                     float* panel) {
  for (std::int64_t j0 = 0; j0 < tile_columns; j0 += lanes) {
    const std::int64_t width = std::clamp<std::int64_t>(columns - j0, 0, lanes);
    std::int64_t s = 0;
    for (; width == lanes && s + lanes <= depth; s += lanes) {
      Vec<float> square[lanes];
      for (int j = 0; j < lanes; ++j) square[j] = alpha * simd::load(b + (j0 + j) * stride + s);
      simd::transpose<float>(square);
      for (int i = 0; i < lanes; ++i) simd::store<float>(panel + (s + i) * tile_columns + j0, square[i]);
    }
    for (; s < depth; ++s)
      for (std::int64_t j = 0; j < lanes; ++j)
        panel[s * tile_columns + j0 + j] = j < width ? alpha * b[(j0 + j) * stride + s] : 0;
  }
}

// One product of the batch; operands are those of the batch.
struct Operands {
  const Product& p;
  const float *a, *b;
  float* c;

  // What C begins with: itself, the addend, or nothing.
  Matrix start(std::int64_t i, std::int64_t j) const {
    if (p.accumulate) return {c + i * p.c.row_stride + j, p.c.row_stride};
    if (p.addend) return {static_cast<const float*>(p.addend) + i * p.addend_rows + j, p.addend_rows};
    return {nullptr, 0};
  }
};

struct Part {
  std::int64_t first_row, rows, first_column, columns;
};

void pack_part(const Operands& o, const Part& part, std::int64_t from, std::int64_t depth, float* panels) {
  for (std::int64_t j = 0; j < part.columns; j += tile_columns) {
    const std::int64_t column = part.first_column + j, columns = std::min<std::int64_t>(tile_columns, part.columns - j);
    float* panel = panels + j * depth;
    if (o.p.b.transposed)
      pack_transposed(o.b + column * o.p.b.row_stride + from, o.p.b.row_stride, depth, columns, o.p.alpha, panel);
    else
      pack(o.b + from * o.p.b.row_stride + column, o.p.b.row_stride, depth, columns, o.p.alpha, panel);
  }
}

void compute(const Operands& o, const Part& part) {
  const std::int64_t depth = divide_up(o.p.k, divide_up(o.p.k, chunk_depth)), c_stride = o.p.c.row_stride;
  const Scratch<float> panels(depth * divide_up(part.columns, tile_columns) * tile_columns);
  for (std::int64_t from = 0; from < o.p.k; from += depth) {
    const std::int64_t steps = std::min(depth, o.p.k - from);
    pack_part(o, part, from, steps, panels.data());
    for (std::int64_t block = 0; block < part.rows; block += block_rows)
      for (std::int64_t j = 0; j < part.columns; j += tile_columns)
        for (std::int64_t i = block; i < std::min(part.rows, block + block_rows); i += tile_rows) {
          const std::int64_t row = part.first_row + i, column = part.first_column + j;
          const std::int64_t rows = std::min<std::int64_t>(tile_rows, std::min(part.rows, block + block_rows) - i);
          const std::int64_t columns = std::min<std::int64_t>(tile_columns, part.columns - j);
          const Matrix a{o.a + row * o.p.a.row_stride + from, o.p.a.row_stride};
          float* c = o.c + row * c_stride + column;
          const Matrix start = from == 0 ? o.start(row, column) : Matrix{c, c_stride};
          if (columns == tile_columns)
            multiply_rows(rows, a, panels.data() + j * steps, steps, start, c, c_stride);
          else
            multiply_edge(rows, columns, a, panels.data() + j * steps, steps, start, c, c_stride);
        }
  }
}

}  // namespace

bool suits_panels(const Product& p) {
  return simd::kRegisters == 32 && !p.a.transposed && p.m >= 192 && p.n >= 192 && p.k >= 64 &&
         (!p.addend || (p.beta == 1 && p.addend_columns == 1));
}

void panel_product(const Product& p, const float* a, const float* b, float* c) {
  const std::int64_t batches = count(p.batch), column_parts = divide_up(p.n, task_columns);
  // Fewer than eight tasks leave threads idle at the end.
  std::int64_t rows = std::min(p.m, task_rows);
  while (rows > 256 && batches * column_parts * divide_up(p.m, rows) < 8) rows /= 2;
  rows = divide_up(divide_up(p.m, divide_up(p.m, rows)), tile_rows) * tile_rows;
  const std::int64_t row_parts = divide_up(p.m, rows), parts = row_parts * column_parts;
  run_parallel(batches * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t batch = at / parts, i = at % parts % row_parts * rows,
                         j = at % parts / row_parts * task_columns;
      const Operands o{p, a + batch_offset(p.batch, p.a.batch_strides, batch),
                       b + batch_offset(p.batch, p.b.batch_strides, batch),
                       c + batch_offset(p.batch, p.c.batch_strides, batch)};
      compute(o, {i, std::min(rows, p.m - i), j, std::min(task_columns, p.n - j)});
    }
  });
}

}  // namespace tessera
