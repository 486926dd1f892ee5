#include "ops/attention/pooling.h"

#include <algorithm>

#include "ops/attention/panel.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace {

constexpr std::int64_t kGrain = 4;        // tiles of one chunk of work
constexpr std::int32_t kPlacesAhead = 2;  // see prefetch_row

// f(batch, first head, end of heads, tile) for all, in parallel. Heads that lie side by side in a row of memory are
// taken together: rows are then read as they lie.
template <class T, class F>
void for_each_tile(AttentionView<T> x, std::int64_t batch, std::int64_t heads, const TokenTiles& tiles, F&& f) {
  const std::int64_t n = tiles.tiles(), together = x.side_by_side(heads) ? heads : 1;
  const std::int64_t parts = together > 0 ? heads / together : 0;
  run_parallel(batch * parts * n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t head = i / n % parts * together;
      f(i / n / parts, head, head + together, i % n);
    }
  });
}

// to[c] = f(to[c], from[c]), in vectors of C; either may be stored in another type.
template <class C, class To, class From, class F>
void combine(To* to, const From* from, std::int64_t dim, F&& f) {
  constexpr int lanes = simd::kLanes<C>;
  std::int64_t c = 0;
  for (; c + lanes <= dim; c += lanes)
    simd::store_as<C>(to + c, simd::Vec<C>(f(simd::load_as<C>(to + c), simd::load_as<C>(from + c))));
  for (; c < dim; ++c) to[c] = static_cast<To>(f(static_cast<C>(to[c]), static_cast<C>(from[c])));
}

// sum[c] += row[c]
template <class T>
void add_row(const T* row, std::int64_t dim, double* sum) {
  constexpr int lanes = simd::kLanes<float>;
  std::int64_t c = 0;
  if constexpr (!std::is_same_v<T, double>)
    for (; c + lanes <= dim; c += lanes) {
      float x[lanes];
      simd::store<float>(x, simd::load_as<float>(row + c));
#pragma omp simd
      for (int i = 0; i < lanes; ++i) sum[c + i] += static_cast<double>(x[i]);
    }
  for (; c < dim; ++c) sum[c] += static_cast<double>(static_cast<Compute<T>>(row[c]));
}

}  // namespace

template <class T, class C>
void pool_tiles(AttentionView<const T> x, std::int64_t batch, std::int64_t heads, std::int64_t dim,
                const TokenTiles& tiles, C* means) {
  for_each_tile(x, batch, heads, tiles, [&](std::int64_t b, std::int64_t begin, std::int64_t end, std::int64_t tile) {
    const Scratch<double> sums((end - begin) * dim);
    std::fill_n(sums.data(), (end - begin) * dim, 0.0);
    for (std::int32_t place = tiles.first[tile]; place < tiles.first[tile + 1]; ++place) {
      const std::int32_t soon = std::min(place + kPlacesAhead, tiles.first[tile + 1] - 1);
      for (std::int64_t h = begin; h < end; ++h) {
        attention::prefetch_row(x.row(b, h, tiles.order[soon]), dim);
        add_row(x.row(b, h, tiles.order[place]), dim, sums.data() + (h - begin) * dim);
      }
    }
    const auto size = static_cast<double>(tiles.size(tile));
    for (std::int64_t h = begin; h < end; ++h) {
      const double* sum = sums.data() + (h - begin) * dim;
      C* mean = means + ((b * heads + h) * tiles.tiles() + tile) * dim;
      for (std::int64_t c = 0; c < dim; ++c) mean[c] = static_cast<C>(sum[c] / size);
    }
  });
}

template <class T>
void add_pooled_gradient(const Compute<T>* dmeans, std::int64_t batch, std::int64_t heads, std::int64_t dim,
                         const TokenTiles& tiles, AttentionView<T> dx) {
  using C = Compute<T>;
  for_each_tile(dx, batch, heads, tiles, [&](std::int64_t b, std::int64_t begin, std::int64_t end, std::int64_t tile) {
    const C share = C(1) / static_cast<C>(tiles.size(tile));
    for (const std::int32_t token : tiles.tokens_of(tile))
      for (std::int64_t h = begin; h < end; ++h)
        combine<C>(dx.row(b, h, token), dmeans + ((b * heads + h) * tiles.tiles() + tile) * dim, dim,
                   [share](auto sum, auto d) { return sum + d * share; });
  });
}

template void pool_tiles(AttentionView<const float>, std::int64_t, std::int64_t, std::int64_t, const TokenTiles&,
                         float*);
template void pool_tiles(AttentionView<const double>, std::int64_t, std::int64_t, std::int64_t, const TokenTiles&,
                         double*);
template void pool_tiles(AttentionView<const double>, std::int64_t, std::int64_t, std::int64_t, const TokenTiles&,
                         float*);
template void pool_tiles(AttentionView<const f16>, std::int64_t, std::int64_t, std::int64_t, const TokenTiles&, float*);
template void pool_tiles(AttentionView<const bf16>, std::int64_t, std::int64_t, std::int64_t, const TokenTiles&,
                         float*);
template void add_pooled_gradient(const float*, std::int64_t, std::int64_t, std::int64_t, const TokenTiles&,
                                  AttentionView<float>);
template void add_pooled_gradient(const double*, std::int64_t, std::int64_t, std::int64_t, const TokenTiles&,
                                  AttentionView<double>);
template void add_pooled_gradient(const float*, std::int64_t, std::int64_t, std::int64_t, const TokenTiles&,
                                  AttentionView<f16>);
template void add_pooled_gradient(const float*, std::int64_t, std::int64_t, std::int64_t, const TokenTiles&,
                                  AttentionView<bf16>);

}  // namespace tessera
