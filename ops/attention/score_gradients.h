#pragma once
// What the backward pass of every attention kernel does with scores, beside the products of tile_kernels.h:
//   p = 2^((s - shift) unit) norm,  ds = p (dp - delta) gain,  delta = dy . y - dlse.
#include <cmath>

#include "ops/attention/tile_kernels.h"

namespace tessera::attention {

// Beyond this size an lse is too coarse to recompute probabilities from (rows of -1e9): statistics are redone.
inline constexpr double kCoarse = 1024;

template <class C>
bool coarse_lse(C lse) {
  return std::isfinite(lse) && std::abs(lse) > C(kCoarse);
}

// The shift that makes probabilities, in score units; `natural` logarithms per score unit. A query without keys
// (lse = -inf) gets +inf, so that p = 0: -inf - inf would not do otherwise.
template <class C>
C probability_shift(C lse, C natural) {
  return std::isinf(lse) && lse < 0 ? -lse : lse / natural;
}

// Copies a row, with zeros from dim to pitch.
template <class C, class S>
void copy_padded(const S* from, std::int64_t dim, std::int64_t pitch, C* to) {
  for (std::int64_t c = 0; c < pitch; ++c) to[c] = c < dim ? static_cast<C>(from[c]) : C(0);
}

template <class C, class A, class B>
C dot(const A* a, const B* b, std::int64_t dim) {
  constexpr int lanes = simd::kLanes<C>;
  C partial[lanes]{};
  for (std::int64_t c = 0; c < dim; ++c) partial[c % lanes] += static_cast<C>(a[c]) * static_cast<C>(b[c]);
  C sum = 0;
  for (const C x : partial) sum += x;
  return sum;
}

// p: scores, become probabilities; ds: dp = dy . v, become gradients of scores times gain. Key j, query lane i at
// p.row(j)[i]; shift, norm and delta per lane.
template <class C>
void score_gradients(Rows<C> p, Rows<C> ds, int key_count, int vectors, const C* shift, const C* norm, const C* delta,
                     C unit, C gain) {
  using V = simd::Vec<C>;
  for (int lane = 0; lane < vectors * simd::kLanes<C>; lane += simd::kLanes<C>) {
    const V less = simd::load(shift + lane), factor = simd::load(norm + lane), mean = simd::load(delta + lane);
    for (int j = 0; j < key_count; ++j) {
      const V prob = simd::exp2<C>((simd::load(p.row(j) + lane) - less) * unit) * factor;
      simd::store<C>(p.row(j) + lane, prob);
      simd::store<C>(ds.row(j) + lane, prob * (simd::load(ds.row(j) + lane) - mean) * gain);
    }
  }
}

// The same statistics of one query.
template <class C>
struct QueryState {
  C shift, norm, delta;
};

// score_gradients of one query against keys in lanes, in base 2: p and ds are rows of count lanes, up to the next whole
// vector; gradients go to `to` as well.
template <class C>
void row_gradients(C* p, C* ds, int count, const QueryState<C>& query, C gain, C* to) {
  for (int j = 0; j < count; j += simd::kLanes<C>) {
    const auto prob = simd::Vec<C>(simd::exp2<C>(simd::load(p + j) - query.shift) * query.norm);
    const auto gradient = simd::Vec<C>(prob * (simd::load(ds + j) - query.delta) * gain);
    simd::store<C>(p + j, prob);
    simd::store<C>(ds + j, gradient);
    simd::store<C>(to + j, gradient);
  }
}

}  // namespace tessera::attention
