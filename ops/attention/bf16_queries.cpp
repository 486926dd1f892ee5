#include "ops/attention/bf16_queries.h"

namespace tessera::attention {
namespace {

constexpr std::int64_t kTileScores = kTileKeys * Bf16Queries::lanes;

int block_count(int queries) { return (queries + Bf16Queries::lanes - 1) / Bf16Queries::lanes; }

// The rows of a tile in pairs: as they lie, or, of an odd dim, with a zero behind each.
Rows<const bf16> paired_rows(Rows<const bf16> rows, int count, std::int64_t dim, bf16* copy) {
  if (dim % 2 == 0) return rows;
  for (int j = 0; j < count; ++j) {
    std::copy_n(rows.row(j), dim, copy + j * even(dim));
    copy[j * even(dim) + dim] = bf16{};
  }
  return {copy, static_cast<std::ptrdiff_t>(even(dim))};
}

}  // namespace

Bf16Queries::Bf16Queries(const Problem<bf16>& problem, std::int64_t batch, std::int64_t set, std::int64_t first_row,
                         int count)
    : blocks(block_count(count)),
      problem_(problem),
      batch_(batch),
      head_(problem.kv_head(set)),
      dim_(even(problem.shape.qk_dim)),
      v_dim_(problem.shape.v_dim),
      sums_(blocks * v_dim_ * lanes + 2 * kTileScores),
      pairs_(blocks * dim_ * lanes + kTileScores + kTileKeys * (v_dim_ + dim_)) {
  for (int b = 0; b < blocks; ++b) {
    block[b] = query_block(problem, batch, set, first_row + b * lanes, std::min(lanes, count - b * lanes));
    state[b].begin(sums_.data() + b * v_dim_ * lanes, v_dim_, block[b].vectors);
    any_limit = std::max(any_limit, block[b].any_limit);
    const bf16* rows[lanes];
    for (int i = 0; i < block[b].vectors * simd::kLanes<float>; ++i)
      rows[i] = problem.q.row(batch, block[b].heads[i], block[b].queries[i]);
    pack_query_pairs(rows, problem.shape.qk_dim, block[b].vectors, pairs_.data() + b * dim_ * lanes);
  }
}

void Bf16Queries::add(std::int64_t key0, int count) {
  const AttentionView<const bf16>&k = problem_.k, &v = problem_.v;
  float *const s = sums_.data() + blocks * v_dim_ * lanes, *const extra = s + kTileScores;
  bf16 *const p = pairs_.data() + blocks * dim_ * lanes, *const values = p + kTileScores;
  const auto keys = paired_rows({k.row(batch_, head_, key0), k.row_stride}, count, problem_.shape.qk_dim,
                                values + kTileKeys * v_dim_);
  pack_value_pairs({v.row(batch_, head_, key0), v.row_stride}, count, v_dim_, values, kTileKeys * v.row_stride);
  for (int b = 0; b < blocks; ++b) {
    const Visible seen = visible(problem_, block[b], key0, count, extra);
    if (!seen.any) continue;
    const int vectors = block[b].vectors;
    pair_scores(keys, count, pairs_.data() + b * dim_ * lanes, vectors, dim_, problem_.factor, {s, lanes},
                kTileKeys * keys.stride);
    mask_tile(problem_, block[b], key0, count, seen, {s, lanes}, extra);
    state[b].add_weights(s, count, problem_.unit);
    pack_probabilities(s, count, vectors, p);
    pair_accumulate(values, count, v_dim_, p, vectors, state[b].alpha, {state[b].acc, lanes});
  }
}

}  // namespace tessera::attention
