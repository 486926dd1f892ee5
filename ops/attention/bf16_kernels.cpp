#include "ops/attention/bf16_kernels.h"

#include <algorithm>

#include "ops/attention/panel.h"

namespace tessera::attention {
namespace {

using simd::kLanes;
using simd::Vec;

constexpr int kPanelStride = 2 * kBlockLanes<float>;

template <int R, int V>
void scores_block(Rows<const bf16> keys, const bf16* queries, std::int64_t pairs, float factor, Rows<float> s,
                  std::ptrdiff_t ahead) {
  simd::multiply_pairs<R, V>(
      [](int, int) { return Vec<float>{}; },
      [=](int r, std::int64_t step) {
        if (r == 0) __builtin_prefetch(keys.row(step % R) + 2 * step + ahead, 0, 2);
        return keys.row(r) + 2 * step;
      },
      queries, kPanelStride, pairs,
      [=](int r, int v, Vec<float> sum) { simd::store<float>(s.row(r) + v * kLanes<float>, sum * factor); });
}

template <int R, int V>
void accumulate_block(const bf16* values, std::int64_t stride, const bf16* p, std::int64_t pairs, const float* alpha,
                      Rows<float> acc) {
  simd::multiply_pairs<R, V>(
      [=](int r, int v) { return simd::load(acc.row(r) + v * kLanes<float>) * simd::load(alpha + v * kLanes<float>); },
      [=](int r, std::int64_t step) { return values + step * stride + 2 * r; }, p, kPanelStride, pairs,
      [=](int r, int v, Vec<float> sum) { simd::store<float>(acc.row(r) + v * kLanes<float>, sum); });
}

}  // namespace

void pack_query_pairs(const bf16* const* rows, std::int64_t dim, int vectors, bf16* panel) {
  constexpr int lanes = kLanes<float>;
  for (int v = 0; v < vectors; ++v, rows += lanes, panel += 2 * lanes) {
    std::int64_t c = 0;
    for (; c + 2 * lanes <= dim; c += 2 * lanes) {
      Vec<float> square[lanes];
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) square[i] = (Vec<float>)simd::load_pairs(rows[i] + c);
      simd::transpose<float>(square);
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i)
        simd::store_pairs(panel + (c / 2 + i) * kPanelStride, (Vec<simd::Bf16Pair>)square[i]);
    }
    for (; c < dim; ++c)
      for (int i = 0; i < lanes; ++i) panel[c / 2 * kPanelStride + 2 * i + c % 2] = rows[i][c];
    for (int i = 0; dim % 2 != 0 && i < lanes; ++i) panel[dim / 2 * kPanelStride + 2 * i + 1] = bf16{};
  }
}

void pack_probabilities(const float* p, int key_count, int vectors, bf16* panel) {
  for (int j = 0; j < key_count; j += 2, panel += kPanelStride, p += 2 * kBlockLanes<float>) {
    for (int v = 0; v < vectors; ++v) {
      const float* at = p + v * kLanes<float>;
      const Vec<float> second = j + 1 < key_count ? simd::load(at + kBlockLanes<float>) : Vec<float>{};
      simd::store_pairs(panel + 2 * v * kLanes<float>, simd::rounded_pairs(simd::load(at), second));
    }
  }
}

void pack_value_pairs(Rows<const bf16> values, int key_count, std::int64_t dim, bf16* pairs, std::ptrdiff_t ahead) {
  constexpr int lanes = kLanes<bf16>;
  for (int j = 0; j < key_count; j += 2, pairs += 2 * dim) {
    const bf16 *a = values.row(j), *b = j + 1 < key_count ? values.row(j + 1) : nullptr;
    prefetch_row(values.row(j) + ahead, dim);
    prefetch_row(values.row(j + 1) + ahead, dim);
    std::int64_t c = 0;
    for (; b != nullptr && c + lanes <= dim; c += lanes) simd::store_interleaved(a + c, b + c, pairs + 2 * c);
    for (; c < dim; ++c) {
      pairs[2 * c] = a[c];
      pairs[2 * c + 1] = b != nullptr ? b[c] : bf16{};
    }
  }
}

void pair_scores(Rows<const bf16> keys, int key_count, const bf16* queries, int vectors, std::int64_t dim, float factor,
                 Rows<float> s, std::ptrdiff_t ahead) {
  with_constant<kBlockVectors>(vectors, [&](auto v) {
    for_blocks<kBlockRows>(key_count, [&](std::int64_t j, auto r) {
      scores_block<r(), v()>({keys.row(j), keys.stride}, queries, dim / 2, factor, {s.row(j), s.stride}, ahead);
    });
  });
}

void pair_accumulate(const bf16* values, int key_count, std::int64_t dim, const bf16* p, int vectors,
                     const float* alpha, Rows<float> acc) {
  with_constant<kBlockVectors>(vectors, [&](auto v) {
    for_blocks<kBlockRows>(dim, [&](std::int64_t c, auto r) {
      accumulate_block<r(), v()>(values + 2 * c, 2 * dim, p, (key_count + 1) / 2, alpha, {acc.row(c), acc.stride});
    });
  });
}

}  // namespace tessera::attention
