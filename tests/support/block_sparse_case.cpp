#include "tests/support/block_sparse_case.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <ostream>
#include <random>

namespace tessera {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::int64_t product(const std::vector<std::int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

// Near-normal multiples of 1/32 within 127/32: exact in bf16, f16, f32 and f64.
std::vector<double> numbers(std::mt19937& engine, std::int64_t n, double factor = 1) {
  std::normal_distribution<double> normal;
  std::vector<double> v(static_cast<std::size_t>(n));
  for (double& x : v) x = factor * std::clamp(std::round(normal(engine) * 32), -127.0, 127.0) / 32;
  return v;
}

BlockLists random_lists(std::mt19937& engine, const BlockSparseData& data) {
  BlockLists lists{data.query_tiles.tiles(), data.key_tiles.tiles(), {0}, {}};
  const std::int64_t rows = data.c.batch * data.c.q_heads * lists.query_tiles;
  std::bernoulli_distribution listed(data.c.density);
  for (std::int64_t row = 0; row < rows; ++row) {
    const bool empty = data.c.density < 1 && row % 7 == 3;
    for (std::int32_t tile = 0; tile < lists.key_tiles; ++tile)
      if (!empty && listed(engine)) lists.tile.push_back(tile);
    lists.begin.push_back(static_cast<std::int64_t>(lists.tile.size()));
  }
  return lists;
}

// Half of the queries are their own source, a third of the others are zeros.
std::vector<std::int32_t> random_sources(std::mt19937& engine, const BlockSparseData& data) {
  std::vector<std::int32_t> source;
  for (std::int64_t head = 0; head < data.c.batch * data.c.q_heads; ++head) {
    for (std::int64_t tile = 0; tile < data.query_tiles.tiles(); ++tile) {
      std::vector<std::int32_t> own;
      const std::int32_t first = data.query_tiles.first[tile], end = data.query_tiles.first[tile + 1];
      for (std::int32_t place = first; place < end; ++place)
        if (engine() % 2 == 0) own.push_back(place);
      for (std::int32_t place = first; place < end; ++place) {
        const bool kept = std::find(own.begin(), own.end(), place) != own.end();
        const bool zeros = own.empty() || engine() % 3 == 0;
        source.push_back(kept ? place : zeros ? -1 : own[engine() % own.size()]);
      }
    }
  }
  return source;
}

void hide_what_is_not_listed(BlockSparseData& data) {
  auto& r = data.reference;
  const auto& s = r.shape;
  r.bias.assign(static_cast<std::size_t>(s.batch * s.q_heads * s.q_len * s.kv_len), -infinity);
  for (std::int64_t head = 0; head < s.batch * s.q_heads; ++head)
    for (std::int64_t tile = 0; tile < data.query_tiles.tiles(); ++tile)
      for (const std::int32_t query : data.query_tiles.tokens_of(tile))
        for (const std::int32_t key_tile : data.lists.row(head, tile))
          for (const std::int32_t key : data.key_tiles.tokens_of(key_tile))
            r.bias[static_cast<std::size_t>((head * s.q_len + query) * s.kv_len + key)] = 0;
}

// Results of the copies, and their dy handed to their sources.
void apply_sources(BlockSparseData& data) {
  auto& r = data.reference;
  const auto& s = r.shape;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(data.source.size()); ++i) {
    const std::int32_t source = data.source[i], place = static_cast<std::int32_t>(i % s.q_len);
    if (source == place) continue;
    const std::int64_t head = i / s.q_len * s.q_len, to = head + data.query_tiles.order[place];
    const std::int64_t from = source < 0 ? -1 : head + data.query_tiles.order[source];
    data.lse[to] = -infinity;
    r.dlse[to] = 0;
    for (std::int64_t c = 0; c < s.v_dim; ++c) {
      data.y[to * s.v_dim + c] = from < 0 ? 0 : r.y[from * s.v_dim + c];
      if (from >= 0) r.dy[from * s.v_dim + c] += data.dy[to * s.v_dim + c];
      r.dy[to * s.v_dim + c] = 0;
    }
  }
}

}  // namespace

BlockSparseData::BlockSparseData(const BlockSparseCase& given)
    : c(given), query_tiles(token_tiles(c.q_grid, c.q_cube)), key_tiles(token_tiles(c.k_grid, c.k_cube)) {
  std::mt19937 engine(11);
  const auto& s =
      reference.shape = {c.batch, c.q_heads, c.kv_heads, product(c.q_grid), product(c.k_grid), c.qk_dim, c.v_dim};
  const std::int64_t rows = s.batch * s.q_heads * s.q_len, keys = s.batch * s.kv_heads * s.kv_len;
  lists = random_lists(engine, *this);
  if (c.sources) source = random_sources(engine, *this);
  reference.scale = 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(s.qk_dim, 1)));
  reference.q = numbers(engine, rows * s.qk_dim, c.amplitude);
  reference.k = numbers(engine, keys * s.qk_dim, c.amplitude);
  reference.v = numbers(engine, keys * s.v_dim);
  reference.dy = dy = numbers(engine, rows * s.v_dim);
  reference.dlse = dlse = numbers(engine, rows);
  hide_what_is_not_listed(*this);
  reference.forward();
  y = reference.y, lse = reference.lse;
  apply_sources(*this);
  reference.backward();
}

std::ostream& operator<<(std::ostream& out, const BlockSparseCase& c) {
  const auto list = [&](const char* name, const std::vector<std::int64_t>& sizes) {
    out << name;
    for (const auto s : sizes) out << " " << s;
  };
  out << "batch " << c.batch << ", heads " << c.q_heads << "/" << c.kv_heads << ", dim " << c.qk_dim << "/" << c.v_dim;
  list(", queries", c.q_grid), list(" in", c.q_cube), list(", keys", c.k_grid), list(" in", c.k_cube);
  return out << ", density " << c.density << (c.rows_first ? ", [B,L,H,D]" : "") << ", amplitude " << c.amplitude
             << (c.sources ? ", sources" : "");
}

}  // namespace tessera
