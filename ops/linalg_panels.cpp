// Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 2008, without packing A:
// broadcasts read it where it lies, or, where it is stored transposed, from a copy of a group of rows. B is packed into
// panels as wide as a tile of C, a chunk of k and a group of columns at a time. A task has some rows and some panels:
// the rows stay in L2 while the panels stream past them, and a tile of C is summed in registers along the whole chunk:
// 8 x 48 in 24 of AVX-512's 32, 6 x 16 in 12 of AVX2's 16.
#include "ops/linalg_panels.h"

#include <algorithm>
#include <utility>

#include "ops/simd.h"
#include "runtime/base/parts.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace {

using simd::Vec;

constexpr int lanes = simd::kLanes<float>;
constexpr int tile_rows = simd::kRegisters == 32 ? 8 : 6, tile_vectors = simd::kRegisters == 32 ? 3 : 2,
              panel_columns = tile_vectors * lanes;
// All columns are multiples of a panel's.
constexpr std::int64_t chunk_depth = 1536, group_columns = 1536;  // 9 MB of packed B: a share of L3
constexpr std::int64_t task_tiles = 8, task_rows = task_tiles * tile_rows, task_columns = 384;  // 0.3 ms, chunk full
constexpr std::int64_t packed_columns = 192;                                                    // by a task
constexpr std::int64_t group_rows = 1536;                        // of a transposed A, copied together: another 9 MB
constexpr std::int64_t asked_step = panel_columns / task_tiles;  // a tile's share of the next panel
static_assert(task_columns % panel_columns == 0 && packed_columns % panel_columns == 0);

// Element (row, step) of a tile's rows of A stands at data[row * row_stride + step * step_stride], those of the next
// tile `next` after it.
struct RowsOfA {
  const float* data;
  std::int64_t row_stride, step_stride, next;
  RowsOfA tile(std::int64_t t) const { return {data + t * next, row_stride, step_stride, next}; }
};

struct Rows {
  const float* data;  // may be null: zeros
  std::int64_t stride;
};

// c = a panel + added, on R rows and one panel's columns. `next` is fetched into L2 meanwhile. A function of its own:
// inlined, GCC 12 spills the sums.
template <int R>
[[gnu::noinline]] void multiply(RowsOfA a, const float* panel, std::int64_t depth, Rows added, float* c,
                                std::int64_t c_stride, const float* next) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < tile_vectors; ++v) __builtin_prefetch(c + r * c_stride + v * lanes, 1);
  }
  Vec<float> sum[R][tile_vectors] = {};
  const float *low = a.data, *high = a.data + 4 * a.row_stride;
  for (std::int64_t s = 0; s < depth; ++s) {
    Vec<float> b[tile_vectors];
#pragma GCC unroll 8
    for (int v = 0; v < tile_vectors; ++v) b[v] = simd::load(panel + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec<float> x = simd::broadcast<float>(r < 4 ? low[r * a.row_stride] : high[(r - 4) * a.row_stride]);
#pragma GCC unroll 8
      for (int v = 0; v < tile_vectors; ++v) sum[r][v] = simd::multiply_add<float>(x, b[v], sum[r][v]);
    }
    __builtin_prefetch(next, 0, 2);
    next += asked_step;
    low += a.step_stride, high += a.step_stride;
    panel += panel_columns;
  }
  if (added.data) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < tile_vectors; ++v) sum[r][v] += simd::load(added.data + r * added.stride + v * lanes);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < tile_vectors; ++v) simd::store<float>(c + r * c_stride + v * lanes, sum[r][v]);
  }
}

template <int R = tile_rows>
void multiply_rows(std::int64_t rows, RowsOfA a, const float* panel, std::int64_t depth, Rows added, float* c,
                   std::int64_t c_stride, const float* next) {
  if constexpr (R > 1)
    if (rows < R) return multiply_rows<R - 1>(rows, a, panel, depth, added, c, c_stride, next);
  multiply<R>(a, panel, depth, added, c, c_stride, next);
}

// A tile with fewer columns than a panel: by way of a whole one.
void multiply_edge(std::int64_t rows, std::int64_t columns, RowsOfA a, const float* panel, std::int64_t depth,
                   Rows added, float* c, std::int64_t c_stride) {
  float tile[tile_rows * panel_columns] = {};
  if (added.data)
    for (std::int64_t r = 0; r < rows; ++r)
      std::copy_n(added.data + r * added.stride, columns, tile + r * panel_columns);
  multiply_rows(rows, a, panel, depth, {tile, panel_columns}, tile, panel_columns, panel);
  for (std::int64_t r = 0; r < rows; ++r) std::copy_n(tile + r * panel_columns, columns, c + r * c_stride);
}

// panels[column / panel_columns][step][column % panel_columns] = alpha b[step][column], 0 where the last panel has no
// column.
void pack(const float* b, std::int64_t stride, std::int64_t depth, std::int64_t columns, float alpha, float* panels) {
  for (std::int64_t s = 0; s < depth; ++s, b += stride, panels += panel_columns) {
    std::int64_t j = 0;
    float* panel = panels;
    for (; j + panel_columns <= columns; j += panel_columns, panel += depth * panel_columns)
#pragma GCC unroll 8
      for (int v = 0; v < tile_vectors; ++v)
        simd::store<float>(panel + v * lanes, alpha * simd::load(b + j + v * lanes));
    if (j == columns) continue;
    for (std::int64_t i = 0; i < panel_columns; ++i) panel[i] = j + i < columns ? alpha * b[j + i] : 0;
  }
}

// One panel of a B that is stored transposed: b[column][step].
void pack_transposed(const float* b, std::int64_t stride, std::int64_t depth, std::int64_t columns, float alpha,
                     float* panel) {
  for (std::int64_t j0 = 0; j0 < panel_columns; j0 += lanes) {
    const std::int64_t width = std::clamp<std::int64_t>(columns - j0, 0, lanes);
    std::int64_t s = 0;
    for (; width == lanes && s + lanes <= depth; s += lanes) {
      Vec<float> square[lanes];
      for (int j = 0; j < lanes; ++j) square[j] = alpha * simd::load(b + (j0 + j) * stride + s);
      simd::transpose<float>(square);
      for (int i = 0; i < lanes; ++i) simd::store<float>(panel + (s + i) * panel_columns + j0, square[i]);
    }
    for (; s < depth; ++s)
      for (std::int64_t j = 0; j < lanes; ++j)
        panel[s * panel_columns + j0 + j] = j < width ? alpha * b[(j0 + j) * stride + s] : 0;
  }
}

// A part of rows, columns, or k.
struct Part {
  std::int64_t first, size;
};
Part part(std::int64_t i, std::int64_t size, std::int64_t all) { return {i * size, std::min(size, all - i * size)}; }

// One product of the batch, in parts of `depth` k, `width` columns and `height` rows.
struct Matrices {
  const Product& p;
  const float *a, *b;
  float* c;
  std::int64_t depth, width, height;

  // C = A B, chunk of k by chunk of k. The shorter side of C is the outer loop: what is made ready of the longer one is
  // made anew for each of its groups, often just one.
  void multiply_all(float* panels, float* copy) const {
    const std::int64_t row_groups = divide_up(p.m, height), column_groups = divide_up(p.n, width);
    const bool rows_first = p.m >= p.n;
    for (std::int64_t k = 0; k < divide_up(p.k, depth); ++k) {
      RowsOfA a_rows{};
      std::int64_t row_group = -1, column_group = -1;
      for (std::int64_t i = 0; i < row_groups * column_groups; ++i) {
        const std::int64_t r = rows_first ? i % row_groups : i / column_groups;
        const std::int64_t j = rows_first ? i / row_groups : i % column_groups;
        const Part steps = part(k, depth, p.k), rows = part(r, height, p.m), columns = part(j, width, p.n);
        if (std::exchange(column_group, j) != j) pack_columns(steps, columns, panels);
        if (std::exchange(row_group, r) != r) a_rows = rows_of_a(steps, rows, copy);
        add(a_rows, steps, rows, columns, panels);
      }
    }
  }

 private:
  // Adds A[rows, steps] B[steps, columns] to C; the first such sum begins at the addend, or at nothing.
  void add(RowsOfA a_rows, Part steps, Part rows, Part columns, const float* panels) const {
    const std::int64_t parts = divide_up(columns.size, task_columns);
    run_parallel(divide_up(rows.size, task_rows) * parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin; at < end; ++at) {
        const Part of_rows = part(at / parts, task_rows, rows.size),
                   of_columns = part(at % parts, task_columns, columns.size);
        for (std::int64_t j = 0; j < of_columns.size; j += panel_columns) {
          const std::int64_t column = of_columns.first + j;
          multiply_panel(a_rows.tile(of_rows.first / tile_rows), steps, {rows.first + of_rows.first, of_rows.size},
                         {columns.first + column, std::min<std::int64_t>(panel_columns, of_columns.size - j)},
                         panels + column * steps.size);
        }
      }
    });
  }

  void pack_columns(Part steps, Part columns, float* panels) const {
    const std::int64_t stride = p.b.row_stride;
    run_parallel(columns.size, packed_columns, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t column = columns.first + begin;
      float* const to = panels + begin * steps.size;
      if (!p.b.transposed) return pack(b + steps.first * stride + column, stride, steps.size, end - begin, p.alpha, to);
      for (std::int64_t j = 0; j < end - begin; j += panel_columns)
        pack_transposed(b + (column + j) * stride + steps.first, stride, steps.size,
                        std::min<std::int64_t>(panel_columns, end - begin - j), p.alpha, to + j * steps.size);
    });
  }

  // Where A is stored transposed, neighbouring steps lie a row of memory apart: they are copied next to each other,
  // tile by tile.
  RowsOfA rows_of_a(Part steps, Part rows, float* copy) const {
    const std::int64_t stride = p.a.row_stride;
    if (!p.a.transposed) return {a + rows.first * stride + steps.first, stride, 1, tile_rows * stride};
    run_parallel(rows.size, task_rows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t s = 0; s < steps.size; ++s) {
        const float* from = a + (steps.first + s) * stride + rows.first;
        for (std::int64_t r = begin; r < end; r += tile_rows) {
          float* const to = copy + r * steps.size + s * tile_rows;
          if (r + tile_rows <= end)
            std::copy_n(from + r, tile_rows, to);
          else
            std::copy(from + r, from + end, to);
        }
      }
    });
    return {copy, 1, tile_rows, tile_rows * steps.size};
  }

  void multiply_panel(RowsOfA a_rows, Part steps, Part rows, Part columns, const float* panel) const {
    const std::int64_t stride = p.c.row_stride;
    const float* next = panel + steps.size * panel_columns;  // only a hint, harmless behind the last
    for (std::int64_t i = 0; i < rows.size; i += tile_rows, next += steps.size * asked_step) {
      const std::int64_t row = rows.first + i, height = std::min<std::int64_t>(tile_rows, rows.size - i);
      float* to = c + row * stride + columns.first;
      Rows added{nullptr, 0};
      if (steps.first > 0 || p.accumulate)
        added = {to, stride};
      else if (p.addend)
        added = {static_cast<const float*>(p.addend) + row * p.addend_rows + columns.first, p.addend_rows};
      const RowsOfA tile = a_rows.tile(i / tile_rows);
      if (columns.size == panel_columns)
        multiply_rows(height, tile, panel, steps.size, added, to, stride, next);
      else
        multiply_edge(height, columns.size, tile, panel, steps.size, added, to, stride);
    }
  }
};

}  // namespace

bool suits_panels(const Product& p) {
  // Measured against pieces of 1,024 rows by oneDNN, on AVX-512 and AVX2: packing pays from 512 of each on (768^3 2 to
  // 10 % faster, 512^3 slower; 4096^2 by a depth of 256 11 % slower: C is read and written once, whatever the depth).
  // On AVX2 oneDNN reads B where it lies for few rows of A; rows a multiple of 2 KB apart share few sets of L1, and it
  // falls to half its pace (GFLOP/s on Zen 3, oneDNN : packed: 32x1024x1024 36 : 43, 128x1024x1024 40 : 63,
  // 256x3072x768 40 : 67, 512^3 54 : 70; with B transposed, 512x512x512 86 : 85).
  const bool crowded = simd::kRegisters == 16 && !p.b.transposed && p.b.row_stride % 512 == 0;
  const double volume = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const bool large = crowded ? std::min({p.m * 8, p.n, p.k * 2}) >= 256 && volume >= 1 << 24
                             : std::min({p.m, p.n, p.k}) >= 512 && volume >= 1 << 28;
  // alpha is multiplied into B, which far from 1 could leave the range of f32.
  const double alpha = std::abs(static_cast<double>(p.alpha));
  const bool near_one = alpha > 1e-6 && alpha < 1e6;
  return simd::kVectorBytes >= 32 && large && near_one && (!p.addend || (p.beta == 1 && p.addend_columns == 1));
}

void panel_product(const Product& p, const float* a, const float* b, float* c) {
  const std::int64_t depth = even_part(p.k, chunk_depth), width = even_part(p.n, group_columns, panel_columns);
  const std::int64_t height = p.a.transposed ? even_part(p.m, group_rows, task_rows) : p.m;
  run_parallel(count(p.batch), 1, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<float> panels(depth * width), copy(p.a.transposed ? depth * height : 0);
    for (std::int64_t at = begin; at < end; ++at)
      Matrices{p,
               a + batch_offset(p.batch, p.a.batch_strides, at),
               b + batch_offset(p.batch, p.b.batch_strides, at),
               c + batch_offset(p.batch, p.c.batch_strides, at),
               depth,
               width,
               height}
          .multiply_all(panels.data(), copy.data());
  });
}

}  // namespace tessera
