#include "ops/attention/selection.h"

#include <algorithm>

#include "ops/attention/panel.h"
#include "ops/attention/pooling.h"
#include "runtime/base/parts.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace {

constexpr std::int64_t kRowsAtOnce = 32;  // query tiles whose scores are held together
constexpr std::size_t kTokensAhead = 8;   // see prefetch_row

// A place in the tile for each of its tokens: itself, another that is itself, or -1.
void check_sources(std::span<const std::int32_t> source, Code code) {
  const auto size = static_cast<std::int32_t>(source.size());
  for (const auto s : source)
    check(s == -1 || (s >= 0 && s < size && source[static_cast<std::size_t>(s)] == s), code, "token source ", s,
          " is no computed token of its tile of ", size);
}

void sort_and_check(std::vector<std::int32_t>& list, std::int64_t tiles, std::int64_t width, Code code) {
  std::sort(list.begin(), list.end());
  check(static_cast<std::int64_t>(list.size()) <= width, code, "a list of ", list.size(), " key tiles, longer than ",
        width);
  for (std::size_t i = 0; i < list.size(); ++i) {
    check(list[i] >= 0 && list[i] < tiles, code, "key tile ", list[i], " of ", tiles);
    check(i == 0 || list[i] != list[i - 1], code, "key tile ", list[i], " twice in a list");
  }
}

// Of those of the rows, [tokens][dim], that are their own source; zeros when there are none.
void mean_of_kept(const float* rows, std::span<const std::int32_t> source, std::int64_t dim, float* mean) {
  std::fill_n(mean, dim, 0.0f);
  std::int64_t kept = 0;
  for (std::size_t t = 0; t < source.size(); ++t, rows += dim) {
    if (source[t] != static_cast<std::int32_t>(t)) continue;
    ++kept;
    for (std::int64_t c = 0; c < dim; ++c) mean[c] += rows[c];
  }
  const float inverse = 1 / static_cast<float>(std::max<std::int64_t>(kept, 1));
  for (std::int64_t c = 0; c < dim; ++c) mean[c] *= inverse;
}

// Asks `keep` for every tile, and takes the mean of the kept queries while they are at hand. Local places become places
// of the tiled order.
template <class T>
std::vector<std::int32_t> kept_queries(const PlannedMethod& planned, AttentionView<const T> q, float* means) {
  const auto& s = planned.call.shape;
  const TokenTiles& tiles = *planned.tiles;
  const std::int64_t count = tiles.tiles();
  std::vector<std::int32_t> all(static_cast<std::size_t>(s.batch * s.q_heads * s.q_len));
  run_parallel(s.batch * s.q_heads * count, 8, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<float> rows(planned.largest_tile() * s.qk_dim);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t head = i % s.q_heads, tile = i / s.q_heads % count, batch = i / s.q_heads / count;
      const std::int64_t row = (batch * s.q_heads + head) * count + tile;
      const auto tokens = tiles.tokens_of(tile);
      for (std::size_t t = 0; t < tokens.size(); ++t) {
        attention::prefetch_row(q.row(batch, head, tokens[std::min(t + kTokensAhead, tokens.size() - 1)]), s.qk_dim);
        const T* from = q.row(batch, head, tokens[t]);
        std::transform(from, from + s.qk_dim, rows.data() + static_cast<std::int64_t>(t) * s.qk_dim,
                       [](T x) { return static_cast<float>(x); });
      }
      const std::span<std::int32_t> source(
          all.data() + row / count * s.q_len + tiles.first[static_cast<std::size_t>(tile)],
          static_cast<std::size_t>(tiles.size(tile)));
      const auto extents = tiles.extents(tile);
      planned.method.keep(planned.method, planned.call,
                          {batch, planned.call.head(head), tile, extents, rows.data(), source});
      check_sources(source, Code::plugin);
      mean_of_kept(rows.data(), source, s.qk_dim, means + row * s.qk_dim);
      for (auto& place : source)
        if (place >= 0) place += tiles.first[static_cast<std::size_t>(tile)];
    }
  });
  return all;
}

BlockLists joined(const std::vector<std::vector<std::int32_t>>& rows, const TokenTiles& tiles) {
  BlockLists lists{tiles.tiles(), tiles.tiles(), {}, {}};
  lists.begin.reserve(rows.size() + 1);
  lists.begin.push_back(0);
  for (const auto& row : rows) lists.begin.push_back(lists.begin.back() + static_cast<std::int64_t>(row.size()));
  lists.tile.reserve(static_cast<std::size_t>(lists.begin.back()));
  for (const auto& row : rows) lists.tile.insert(lists.tile.end(), row.begin(), row.end());
  return lists;
}

// scores[query][key] = scale * queries[query] . keys[key], of rows of `dim`. With keys in the lanes, every sum goes
// from the first coordinate to the last: equal keys have equal scores wherever they stand, and ties are ties. (The
// libraries behind `product` sum the last columns of a matrix in another order.)
void score_means(const float* queries, std::int64_t n, const float* keys, std::int64_t count, std::int64_t dim,
                 float scale, float* scores) {
  constexpr int lanes = attention::kBlockLanes<float>;
  const Scratch<float> panel(dim * lanes), block(n * lanes);
  for (std::int64_t first = 0; first < count; first += lanes) {
    const float* rows[lanes];
    for (int i = 0; i < lanes; ++i) rows[i] = keys + std::min(first + i, count - 1) * dim;
    const attention::Rows<float> in_lanes{panel.data(), lanes}, products{block.data(), lanes};
    attention::pack_panel<float>(rows, 1, dim, attention::kBlockVectors, in_lanes);
    attention::tile_scores<float, attention::Rows>({queries, dim}, static_cast<int>(n), in_lanes,
                                                   attention::kBlockVectors, dim, scale, products);
    for (std::int64_t t = 0; t < n; ++t)
      std::copy_n(products.row(t), std::min<std::int64_t>(lanes, count - first), scores + t * count + first);
  }
}

// Scores of tile means, [Hq][D] against [Hkv][D] per batch entry, some query tiles at a time.
BlockLists selected_tiles(const PlannedMethod& planned, const float* q_means, const float* k_means) {
  const auto& s = planned.call.shape;
  const std::int64_t count = planned.tiles->tiles(), chunks = divide_up(count, kRowsAtOnce);
  std::vector<std::vector<std::int32_t>> rows(static_cast<std::size_t>(s.batch * s.q_heads * count));
  run_parallel(s.batch * s.q_heads * chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<float> scores(kRowsAtOnce * count);
    std::vector<std::vector<std::int32_t>> lists;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t head = i / chunks % s.q_heads, batch = i / chunks / s.q_heads;
      const std::int64_t first = i % chunks * kRowsAtOnce, n = std::min(kRowsAtOnce, count - first);
      const std::int64_t row = (batch * s.q_heads + head) * count + first;
      const float* keys = k_means + (batch * s.kv_heads + head / s.group()) * count * s.qk_dim;
      score_means(q_means + row * s.qk_dim, n, keys, count, s.qk_dim, static_cast<float>(planned.call.scale),
                  scores.data());
      lists.assign(static_cast<std::size_t>(n), {});
      planned.method.select(planned.method, planned.call,
                            {batch, planned.call.head(head), first, n, scores.data(), lists});
      check(static_cast<std::int64_t>(lists.size()) == n, Code::plugin, lists.size(), " lists for ", n, " query tiles");
      for (std::int64_t t = 0; t < n; ++t) {
        auto& list = lists[static_cast<std::size_t>(t)];
        sort_and_check(list, count, planned.width(), Code::plugin);
        rows[static_cast<std::size_t>(row + t)] = std::move(list);
      }
    }
  });
  return joined(rows, *planned.tiles);
}

bool all_computed(std::span<const std::int32_t> source, std::int64_t tokens) {
  for (std::size_t i = 0; i < source.size(); ++i)
    if (source[i] != static_cast<std::int32_t>(static_cast<std::int64_t>(i) % tokens)) return false;
  return true;
}

}  // namespace

template <class T>
Selection select(const PlannedMethod& planned, AttentionView<const T> q, AttentionView<const T> k) {
  const auto& s = planned.call.shape;
  const TokenTiles& tiles = *planned.tiles;
  Selection selection;
  selection.q_means = Tensor(DType::f32, {s.batch, s.q_heads, tiles.tiles(), s.qk_dim});
  selection.k_means = Tensor(DType::f32, {s.batch, s.kv_heads, tiles.tiles(), s.qk_dim});
  auto* const qm = static_cast<float*>(selection.q_means.raw());
  auto* const km = static_cast<float*>(selection.k_means.raw());
  if (planned.method.keep)
    selection.source = kept_queries(planned, q, qm);
  else
    pool_tiles<T, float>(q, s.batch, s.q_heads, s.qk_dim, tiles, qm);
  if (all_computed(selection.source, s.q_len)) selection.source.clear();
  pool_tiles<T, float>(k, s.batch, s.kv_heads, s.qk_dim, tiles, km);
  selection.lists = selected_tiles(planned, qm, km);
  return selection;
}

void write_selection(const PlannedMethod& planned, const Selection& selection, std::span<std::int32_t> out) {
  const auto& s = planned.call.shape;
  const TokenTiles& tiles = *planned.tiles;
  const std::int64_t count = tiles.tiles(), pitch = planned.width() + planned.largest_tile();
  for (std::int64_t row = 0; row < s.batch * s.q_heads * count; ++row) {
    std::int32_t* to = out.data() + row * pitch;
    const auto list = selection.lists.row(row / count, row % count);
    std::fill(std::copy(list.begin(), list.end(), to), to + planned.width(), -1);
    to += planned.width();
    const std::int64_t tile = row % count;
    const std::int32_t first = tiles.first[static_cast<std::size_t>(tile)];
    const std::int32_t* source =
        selection.source.empty() ? nullptr : selection.source.data() + row / count * s.q_len + first;
    for (std::int32_t t = 0; t < tiles.size(tile); ++t) to[t] = !source ? t : source[t] < 0 ? -1 : source[t] - first;
    std::fill(to + tiles.size(tile), to + planned.largest_tile(), -2);
  }
}

Selection read_selection(const PlannedMethod& planned, std::span<const std::int32_t> in) {
  const auto& s = planned.call.shape;
  const TokenTiles& tiles = *planned.tiles;
  const std::int64_t count = tiles.tiles(), pitch = planned.width() + planned.largest_tile();
  std::vector<std::vector<std::int32_t>> rows(static_cast<std::size_t>(s.batch * s.q_heads * count));
  Selection selection;
  selection.source.resize(static_cast<std::size_t>(s.batch * s.q_heads * s.q_len));
  for (std::int64_t row = 0; row < static_cast<std::int64_t>(rows.size()); ++row) {
    const std::int32_t *from = in.data() + row * pitch, *end = from + planned.width();
    auto& list = rows[static_cast<std::size_t>(row)];
    const auto* const after = std::find(from, end, -1);
    list.assign(from, after);
    const auto* const more = std::find_if(after, end, [](std::int32_t tile) { return tile != -1; });
    check(more == end, "selection: key tile ", more == end ? -1 : *more, " behind the -1 that ends its list");
    sort_and_check(list, count, planned.width(), Code::bad_input);
    const std::int64_t tile = row % count;
    const std::int32_t first = tiles.first[static_cast<std::size_t>(tile)];
    check_sources({end, static_cast<std::size_t>(tiles.size(tile))}, Code::bad_input);
    std::transform(end, end + tiles.size(tile), selection.source.data() + row / count * s.q_len + first,
                   [&](std::int32_t source) { return source < 0 ? -1 : first + source; });
  }
  if (all_computed(selection.source, s.q_len)) selection.source.clear();
  check(planned.method.keep || selection.source.empty(), "selection: '", planned.method.name,
        "' computes every query, but a token's source is not the token itself");
  selection.lists = joined(rows, tiles);
  return selection;
}

template Selection select(const PlannedMethod&, AttentionView<const float>, AttentionView<const float>);
template Selection select(const PlannedMethod&, AttentionView<const double>, AttentionView<const double>);
template Selection select(const PlannedMethod&, AttentionView<const f16>, AttentionView<const f16>);
template Selection select(const PlannedMethod&, AttentionView<const bf16>, AttentionView<const bf16>);

}  // namespace tessera
