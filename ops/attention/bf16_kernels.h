#pragma once
// The matrix products of attention on one tile of keys and one block of queries, with bf16 operands and sums in f32.
//
// As in tile_kernels.h queries lie in the lanes of vectors, but an element of a panel is a pair of bf16 that are
// neighbours along the axis that is summed over: coordinates for scores, keys for the sum of values. A row of K holds
// such pairs as it lies; values are interleaved two keys at a time. An odd count is filled up with zeros. The products
// may be called only where simd::multiplies_pairs(). `ahead` asks for rows that are needed next, as in tile_kernels.h.
// Nothing is allocated; results depend on the arguments only.
#include "ops/attention/tile_kernels.h"

namespace tessera::attention {

// x as a whole number of pairs.
constexpr std::int64_t even(std::int64_t x) { return (x + 1) / 2 * 2; }

// panel[c / 2][lane] = (rows[lane][c], rows[lane][c + 1]), for even c < dim, of vectors * lanes rows; rows of the panel
// are 2 * kBlockLanes apart.
void pack_query_pairs(const bf16* const* rows, std::int64_t dim, int vectors, bf16* panel);

// The same for numbers: panel[j / 2][lane] = (p[j][lane], p[j + 1][lane]), rounded; p [key_count][kBlockLanes] >= 0 or
// NaN.
void pack_probabilities(const float* p, int key_count, int vectors, bf16* panel);

// pairs[j / 2][c] = (values[j][c], values[j + 1][c]), for c < dim; rows of pairs are 2 * dim apart.
void pack_value_pairs(Rows<const bf16> values, int key_count, std::int64_t dim, bf16* pairs, std::ptrdiff_t ahead);

// s[j][i] = factor * sum_c keys[j][c] * queries[c][i], for j < key_count, i < vectors * lanes; dim is even.
void pair_scores(Rows<const bf16> keys, int key_count, const bf16* queries, int vectors, std::int64_t dim, float factor,
                 Rows<float> s, std::ptrdiff_t ahead);

// acc[c][i] = acc[c][i] * alpha[i] + sum_j values[j][c] * p[j][i], for c < dim; values and p in pairs.
void pair_accumulate(const bf16* values, int key_count, std::int64_t dim, const bf16* p, int vectors,
                     const float* alpha, Rows<float> acc);

}  // namespace tessera::attention
