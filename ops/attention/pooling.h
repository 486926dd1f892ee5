#pragma once
// Means of the tokens of each tile, and their gradient.
#include "ops/attention/kernel.h"
#include "ops/attention/token_tiles.h"

namespace tessera {

// means[b][h][tile][c] = sum over the tokens u of the tile of x[b][h][u][c] / size(tile), contiguous, summed in f64 and
// rounded once to C = float or Compute<T>: of equal tokens the mean is that token, however many a tile has.
template <class T, class C>
void pool_tiles(AttentionView<const T> x, std::int64_t batch, std::int64_t heads, std::int64_t dim,
                const TokenTiles& tiles, C* means);

// dx[b][h][u] += dmeans[b][h][tile(u)] / size(tile(u)): the gradient of pool_tiles.
template <class T>
void add_pooled_gradient(const Compute<T>* dmeans, std::int64_t batch, std::int64_t heads, std::int64_t dim,
                         const TokenTiles& tiles, AttentionView<T> dx);

}  // namespace tessera
