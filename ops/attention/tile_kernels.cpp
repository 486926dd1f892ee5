#include "ops/attention/tile_kernels.h"

#include <algorithm>

namespace tessera::attention {
namespace {

using simd::kLanes;
using simd::Vec;

// How the scalar operand of a product walks through memory: x(r, step).
enum class Walk {
  along_row,    // x[r * stride + step]: a dot product of rows
  across_rows,  // x[step * stride + r]: a sum of outer products
  along_packs   // x[r / kBlockRows * stride + step * kBlockRows + r % kBlockRows]: either
};

// Rows of a register block that is V vectors wide: as many as registers have room for, and no more than 8, which keep
// two multiply-add units of four cycles busy with one vector each; packs are taken whole.
template <Walk walk, int V>
constexpr int kRows = [] {
  constexpr int most = std::min(8, kBlockRows * kBlockVectors / V);
  return walk == Walk::along_packs ? most / kBlockRows * kBlockRows : most;
}();

// Steps from one prefetch to the next: then a block of kBlockRows rows of f32 asks for each of their cache lines.
constexpr int kAsk = simd::kRegisters == 32 ? 1 : 4;

// Steps that are written out. With 16 registers a whole block has but 12 multiply-adds a step to carry what a loop
// adds: two threads on one core have half of its slots each, and then every other instruction delays them.
template <Walk walk, int R, int V>
constexpr int kSteps = simd::kRegisters == 16 && R == kRows<walk, V> ? kAsk* kBlockRows : 1;

// What is wanted soon: element step * along + step / kAsk % kBlockRows * across, asked for every kAsk steps.
template <class C>
struct Soon {
  const C* data;
  std::ptrdiff_t along, across;
};

// p, from here on in a register of its own. With 16 registers, and only then, compilers need to be told: they keep an
// address for every element of the steps that are written out, or one and an index, which costs a slot more.
template <class C>
[[gnu::always_inline]] inline const C* in_register(const C* p) {
  if constexpr (simd::kRegisters == 16) asm("" : "+r"(p));
  return p;
}

// acc[r][v] += scalar(r) * panel[v].
template <class C, int R, int V, class F>
[[gnu::always_inline]] inline void multiply_step(F&& scalar, const C* panel, Vec<C> (&acc)[R][V]) {
  Vec<C> lane[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) lane[v] = simd::load(panel + v * kLanes<C>);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const Vec<C> all = simd::broadcast<C>(scalar(r));
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[r][v] = simd::add_product<C>(all, lane[v], acc[r][v]);
  }
}

// acc[r][v] += sum over steps of x(r, step) * panel[step][v]. A row of x is a whole pack where it walks along packs.
template <Walk walk, class C, int R, int V>
[[gnu::always_inline]] inline void multiply(Rows<const C> x, Rows<const C> panel, std::int64_t steps,
                                            Vec<C> (&acc)[R][V], Soon<C> soon) {
  constexpr int n = kSteps<walk, R, V>;
  // What the next step takes: of every row, of all, or of every pack.
  constexpr int pointers = walk == Walk::along_row     ? R
                           : walk == Walk::across_rows ? 1
                                                       : (R + kBlockRows - 1) / kBlockRows;
  const auto at = [](const C* const* a, int r, std::int64_t step) {
    if constexpr (walk == Walk::along_row) return a[r][step];
    if constexpr (walk == Walk::across_rows) return a[0][r];
    if constexpr (walk == Walk::along_packs) return a[r / kBlockRows][step * kBlockRows + r % kBlockRows];
  };
  const C* a[pointers];
  const C* b = panel.data;
#pragma GCC unroll 8
  for (int i = 0; i < pointers; ++i) a[i] = x.row(i);
  std::int64_t step = 0;
  for (; step + n <= steps; step += n) {
    const std::int64_t row = n == 1 ? step / kAsk % kBlockRows : 0;
    const C* const wanted = soon.data + step * soon.along + row * soon.across;
#pragma GCC unroll 16
    for (int u = 0; u < n; ++u) {
      if ((n == 1 ? step : u) % kAsk == 0) __builtin_prefetch(wanted + u * soon.along + u / kAsk * soon.across, 0, 2);
      multiply_step([&](int r) { return at(a, r, u); }, b, acc);
      b = in_register(b + panel.stride);
      if (walk == Walk::across_rows) a[0] = in_register(a[0] + x.stride);
    }
#pragma GCC unroll 8
    for (int i = 0; walk != Walk::across_rows && i < pointers; ++i)
      a[i] = in_register(a[i] + (walk == Walk::along_row ? n : n * kBlockRows));
  }
  for (; step < steps; ++step, b += panel.stride) {
    multiply_step([&](int r) { return at(a, r, 0); }, b, acc);
#pragma GCC unroll 8
    for (int i = 0; i < pointers; ++i)
      a[i] += walk == Walk::along_row ? 1 : walk == Walk::across_rows ? x.stride : kBlockRows;
  }
}

template <Walk walk, class C, int R, int V>
void scores_block(Rows<const C> keys, Rows<const C> queries, std::int64_t dim, C factor, Rows<C> s, Soon<C> soon) {
  Vec<C> acc[R][V] = {};
  multiply<walk>(keys, queries, dim, acc, soon);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) simd::store<C>(s.row(r) + v * kLanes<C>, acc[r][v] * factor);
  }
}

template <class C, int R, int V>
[[gnu::always_inline]] inline void prefetch_block(Rows<C> out) {
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V * kLanes<C>; v += kLine<C>) __builtin_prefetch(out.row(r) + v, 1, 3);
  }
}

template <Walk walk, class C, int R, int V>
void accumulate_block(Rows<const C> values, int key_count, Rows<const C> p, const C* alpha, Rows<C> out, Soon<C> soon) {
  Vec<C> acc[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      acc[r][v] = simd::load(out.row(r) + v * kLanes<C>) * simd::load(alpha + v * kLanes<C>);
    }
  }
  prefetch_block<C, R, V>({out.row(R), out.stride});  // the next block's, which cannot start without
  multiply<walk>(values, p, key_count, acc, soon);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) simd::store<C>(out.row(r) + v * kLanes<C>, acc[r][v]);
  }
}

// `last` elements of the last vector exist; kLanes when it is whole.
template <class C, int R, int V>
void outer_block(Rows<const C> p, int query_count, Rows<const C> right, int last, Rows<C> out, Soon<C> soon) {
  prefetch_block<C, R, V>(out);
  Vec<C> acc[R][V] = {};
  multiply<Walk::along_row>(p, right, query_count, acc, soon);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    C* row = out.row(r);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      C* at = row + v * kLanes<C>;
      if (v + 1 < V || last == kLanes<C>) {
        simd::store<C>(at, simd::load<C>(at) + acc[r][v]);
      } else {
        simd::store_first<C>(at, simd::load_first<C>(at, last) + acc[r][v], last);
      }
    }
  }
}

}  // namespace

template <class C, template <class> class Operand>
void tile_scores(Operand<const C> keys, int key_count, Rows<const C> queries, int vectors, std::int64_t dim, C factor,
                 Rows<C> s, std::ptrdiff_t ahead) {
  constexpr bool packed = std::is_same_v<Operand<C>, Packs<C>>;
  constexpr Walk walk = packed ? Walk::along_packs : Walk::along_row;
  with_constant<kBlockVectors>(vectors, [&](auto v) {
    for_blocks<kRows<walk, v()>>(key_count, [&](std::int64_t j, auto r) {
      const Soon<C> soon{keys.row(j) + ahead, packed ? kBlockRows : 1, packed ? 0 : keys.stride};
      scores_block<walk, C, r(), v()>({keys.row(j), keys.stride}, queries, dim, factor, {s.row(j), s.stride}, soon);
    });
  });
}

template <class C, template <class> class Operand>
void tile_accumulate(Operand<const C> values, int key_count, std::int64_t dim, Rows<const C> p, int vectors,
                     const C* alpha, Rows<C> acc, std::ptrdiff_t ahead) {
  constexpr bool packed = std::is_same_v<Operand<C>, Packs<C>>;
  constexpr Walk walk = packed ? Walk::along_packs : Walk::across_rows;
  with_constant<kBlockVectors>(vectors, [&](auto v) {
    for_blocks<kRows<walk, v()>>(dim, [&](std::int64_t c, auto r) {
      const C* const from = packed ? values.row(c) : values.data + c;
      const Soon<C> soon = packed ? Soon<C>{from + ahead, kBlockRows, 0}
                                  : Soon<C>{values.row(c / kRows<walk, v()> % kAsk) + c + ahead, values.stride, 0};
      accumulate_block<walk, C, r(), v()>({from, values.stride}, key_count, p, alpha, {acc.row(c), acc.stride}, soon);
    });
  });
}

template <class C>
void tile_outer(Rows<const C> p, int key_count, int query_count, Rows<const C> right, std::int64_t dim, Rows<C> out,
                std::ptrdiff_t ahead_p, std::ptrdiff_t ahead_right) {
  constexpr int lanes = kLanes<C>;
  for (std::int64_t c = 0; c < dim; c += kBlockLanes<C>) {
    const int columns = static_cast<int>(std::min<std::int64_t>(kBlockLanes<C>, dim - c));
    const int vectors = (columns + lanes - 1) / lanes, last = columns - (vectors - 1) * lanes;
    with_constant<kBlockVectors>(vectors, [&](auto v) {
      for_blocks<kRows<Walk::along_row, v()>>(key_count, [&](std::int64_t j, auto r) {
        // The first columns ask for p, the others for `right`, each block of rows for other columns of it.
        const std::int64_t block = j / kRows<Walk::along_row, v()>;
        const Soon<C> rows_of_p{p.row(j) + ahead_p, 1, p.stride},
            columns_of_right{right.row(block % kAsk) + block / kAsk * kLine<C> % dim + ahead_right, right.stride, 0};
        outer_block<C, r(), v()>({p.row(j), p.stride}, query_count, {right.data + c, right.stride}, last,
                                 {out.row(j) + c, out.stride}, c == 0 ? rows_of_p : columns_of_right);
      });
    });
  }
}

template void tile_scores(Rows<const float>, int, Rows<const float>, int, std::int64_t, float, Rows<float>,
                          std::ptrdiff_t);
template void tile_scores(Rows<const double>, int, Rows<const double>, int, std::int64_t, double, Rows<double>,
                          std::ptrdiff_t);
template void tile_scores(Packs<const float>, int, Rows<const float>, int, std::int64_t, float, Rows<float>,
                          std::ptrdiff_t);
template void tile_scores(Packs<const double>, int, Rows<const double>, int, std::int64_t, double, Rows<double>,
                          std::ptrdiff_t);
template void tile_accumulate(Rows<const float>, int, std::int64_t, Rows<const float>, int, const float*, Rows<float>,
                              std::ptrdiff_t);
template void tile_accumulate(Rows<const double>, int, std::int64_t, Rows<const double>, int, const double*,
                              Rows<double>, std::ptrdiff_t);
template void tile_accumulate(Packs<const float>, int, std::int64_t, Rows<const float>, int, const float*, Rows<float>,
                              std::ptrdiff_t);
template void tile_accumulate(Packs<const double>, int, std::int64_t, Rows<const double>, int, const double*,
                              Rows<double>, std::ptrdiff_t);
template void tile_outer(Rows<const float>, int, int, Rows<const float>, std::int64_t, Rows<float>, std::ptrdiff_t,
                         std::ptrdiff_t);
template void tile_outer(Rows<const double>, int, int, Rows<const double>, std::int64_t, Rows<double>, std::ptrdiff_t,
                         std::ptrdiff_t);

}  // namespace tessera::attention
