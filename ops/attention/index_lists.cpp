// Lists of keys are lists of tiles of one key, and queries that share a list are a tile of queries; forward takes few
// of them as decoding does.
#include "ops/attention/index_lists.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/attention/block_sparse.h"
#include "ops/attention/few_queries.h"
#include "ops/simd.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace {

constexpr std::int64_t kGrain = 64;      // rows of one chunk of work
constexpr std::int64_t kListGrain = 16;  // lists

// n tokens in their order, in tiles of `size`.
TokenTiles sequence(std::int64_t n, std::int64_t size) {
  if (n == 0) return {.counts = {0}, .order = {}, .first = {0}, .grid = {0}, .cube = {size}};
  return token_tiles(std::span(&n, 1), std::span(&size, 1));
}

struct Tiled {
  TokenTiles queries, keys;
  BlockLists lists;
  Tiled(const AttentionShape& shape, const IndexLists& from)
      : queries(sequence(shape.q_len, from.rows)),
        keys(sequence(shape.kv_len, 1)),
        lists{from.groups, shape.kv_len, from.begin, from.key} {}
};

// As many rows of a list fill too few lanes of a tile.
constexpr std::int64_t kFewRows = 4;

template <class T>
void few_rows_forward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                      AttentionView<const T> v, double scale, const IndexLists& lists, AttentionView<T> y,
                      Compute<T>* lse) {
  using C = Compute<T>;
  using Few = attention::FewQueries<T>;
  const C factor = static_cast<C>(scale * std::numbers::log2e);  // scores are kept in base 2
  const std::int64_t group = shape.group();
  run_parallel(shape.batch * shape.q_heads * lists.groups, kListGrain, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<C> memory(Few::size(shape, lists.rows));
    for (std::int64_t list = begin; list < end; ++list) {
      const std::int64_t head = list / lists.groups, first = list % lists.groups * lists.rows;
      const std::int64_t b = head / shape.q_heads, h = head % shape.q_heads;
      const std::int64_t count = std::min(lists.rows, shape.q_len - first);
      const attention::KeyRows<T> keys{.k = {k.row(b, h / group, 0), k.row_stride},
                                       .v = {v.row(b, h / group, 0), v.row_stride},
                                       .qk_dim = shape.qk_dim,
                                       .v_dim = shape.v_dim,
                                       .list = lists.key.data() + lists.begin[list]};
      Few few(keys, count, memory.data(), [&](std::int64_t i) { return q.row(b, h, first + i); });
      few.add(0, lists.begin[list + 1] - lists.begin[list], C(1),
              [&](std::int64_t, std::int64_t, int n, C* s) { std::for_each(s, s + n, [&](C& x) { x *= factor; }); });
      for (std::int64_t i = 0; i < count; ++i) {
        const C log_sum = few.finish(i, std::numbers::ln2_v<C>, y.row(b, h, first + i));
        if (lse != nullptr) lse[head * shape.q_len + first + i] = log_sum;
      }
    }
  });
}

// a x + b y, in place of x.
template <class T>
void blend(Compute<T> a, T* x, Compute<T> b, const T* y, std::int64_t dim) {
  using C = Compute<T>;
  constexpr int lanes = simd::kLanes<C>;
  std::int64_t c = 0;
  for (; c + lanes <= dim; c += lanes)
    simd::store_as<C>(x + c, simd::Vec<C>(simd::load_as<C>(x + c) * a + simd::load_as<C>(y + c) * b));
  for (; c < dim; ++c) x[c] = static_cast<T>(static_cast<C>(x[c]) * a + static_cast<C>(y[c]) * b);
}

}  // namespace

template <class T>
void index_list_forward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                        AttentionView<const T> v, double scale, const IndexLists& lists, AttentionView<T> y,
                        Compute<T>* lse) {
  if (lists.rows <= kFewRows) return few_rows_forward<T>(shape, q, k, v, scale, lists, y, lse);
  const Tiled tiled(shape, lists);
  block_sparse_forward<T>({shape, q, k, v, scale, &tiled.queries, &tiled.keys, &tiled.lists}, y, lse);
}

template <class T>
void index_list_backward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                         AttentionView<const T> v, double scale, const IndexLists& lists, AttentionView<const T> y,
                         const Compute<T>* lse, AttentionView<const T> dy, const Compute<T>* dlse,
                         const AttentionGradients<T>& gradients) {
  const Tiled tiled(shape, lists);
  block_sparse_backward<T>({shape, q, k, v, scale, &tiled.queries, &tiled.keys, &tiled.lists}, y, lse, dy, dlse,
                           gradients);
}

template <class T>
void merge_by_lse(const AttentionShape& shape, AttentionView<T> y, Compute<T>* lse, AttentionView<const T> other,
                  const Compute<T>* other_lse) {
  using C = Compute<T>;
  constexpr C nothing = -std::numeric_limits<C>::infinity();
  run_parallel(shape.batch * shape.q_heads * shape.q_len, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      if (other_lse[row] == nothing) continue;
      const std::int64_t head = row / shape.q_len, query = row % shape.q_len;
      T* const to = y.row(head / shape.q_heads, head % shape.q_heads, query);
      const T* const from = other.row(head / shape.q_heads, head % shape.q_heads, query);
      if (lse[row] == nothing) {
        std::copy_n(from, shape.v_dim, to);
        lse[row] = other_lse[row];
        continue;
      }
      const C top = std::max(lse[row], other_lse[row]);
      const C sum = top + std::log1p(std::exp(-std::abs(lse[row] - other_lse[row])));
      blend(std::exp(lse[row] - sum), to, std::exp(other_lse[row] - sum), from, shape.v_dim);
      lse[row] = sum;
    }
  });
}

template void index_list_forward(const AttentionShape&, AttentionView<const float>, AttentionView<const float>,
                                 AttentionView<const float>, double, const IndexLists&, AttentionView<float>, float*);
template void index_list_forward(const AttentionShape&, AttentionView<const double>, AttentionView<const double>,
                                 AttentionView<const double>, double, const IndexLists&, AttentionView<double>,
                                 double*);
template void index_list_forward(const AttentionShape&, AttentionView<const f16>, AttentionView<const f16>,
                                 AttentionView<const f16>, double, const IndexLists&, AttentionView<f16>, float*);
template void index_list_forward(const AttentionShape&, AttentionView<const bf16>, AttentionView<const bf16>,
                                 AttentionView<const bf16>, double, const IndexLists&, AttentionView<bf16>, float*);
template void index_list_backward(const AttentionShape&, AttentionView<const float>, AttentionView<const float>,
                                  AttentionView<const float>, double, const IndexLists&, AttentionView<const float>,
                                  const float*, AttentionView<const float>, const float*,
                                  const AttentionGradients<float>&);
template void index_list_backward(const AttentionShape&, AttentionView<const double>, AttentionView<const double>,
                                  AttentionView<const double>, double, const IndexLists&, AttentionView<const double>,
                                  const double*, AttentionView<const double>, const double*,
                                  const AttentionGradients<double>&);
template void index_list_backward(const AttentionShape&, AttentionView<const f16>, AttentionView<const f16>,
                                  AttentionView<const f16>, double, const IndexLists&, AttentionView<const f16>,
                                  const float*, AttentionView<const f16>, const float*, const AttentionGradients<f16>&);
template void index_list_backward(const AttentionShape&, AttentionView<const bf16>, AttentionView<const bf16>,
                                  AttentionView<const bf16>, double, const IndexLists&, AttentionView<const bf16>,
                                  const float*, AttentionView<const bf16>, const float*,
                                  const AttentionGradients<bf16>&);
template void merge_by_lse(const AttentionShape&, AttentionView<float>, float*, AttentionView<const float>,
                           const float*);
template void merge_by_lse(const AttentionShape&, AttentionView<double>, double*, AttentionView<const double>,
                           const double*);
template void merge_by_lse(const AttentionShape&, AttentionView<f16>, float*, AttentionView<const f16>, const float*);
template void merge_by_lse(const AttentionShape&, AttentionView<bf16>, float*, AttentionView<const bf16>, const float*);

}  // namespace tessera
