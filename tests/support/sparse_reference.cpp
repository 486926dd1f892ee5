#include "tests/support/sparse_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "runtime/tensor/half.h"

namespace tessera {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

std::int64_t SparseCase::tokens() const {
  std::int64_t n = 1;
  for (const auto g : grid) n *= g;
  return n;
}

SparseReference::SparseReference(const SparseCase& c) : c(c) {
  std::mt19937 random(c.seed);
  std::normal_distribution<float> normal;
  const auto fill = [&](std::vector<double>& x, std::int64_t heads, std::int64_t dim, double amplitude) {
    for (std::int64_t i = 0; i < c.batch * heads * c.tokens() * dim; ++i)
      x.push_back(amplitude * static_cast<double>(static_cast<float>(static_cast<bf16>(normal(random)))));
  };
  fill(q, c.q_heads, c.qk_dim, c.amplitude);
  fill(k, c.kv_heads, c.qk_dim, c.amplitude);
  fill(v, c.kv_heads, c.v_dim, 1);
  if (c.gated) fill(gate, c.q_heads, c.v_dim, 1);
  fill(dy, c.q_heads, c.v_dim, 1);
  fill(dlse, c.q_heads, 1, 0.5);

  std::vector<std::int64_t> counts;
  for (std::size_t a = 0; a < c.grid.size(); ++a) counts.push_back((c.grid[a] + c.tile[a] - 1) / c.tile[a]);
  std::int64_t all = 1;
  for (const auto n : counts) all *= n;
  tokens_of.resize(at(all));
  for (std::int64_t token = 0; token < c.tokens(); ++token) {
    std::int64_t rest = token, tile = 0, stride = 1;
    for (std::size_t a = c.grid.size(); a-- > 0; rest /= c.grid[a], stride *= counts[a])
      tile += rest % c.grid[a] / c.tile[a] * stride;
    tile_of.push_back(tile);
    tokens_of[at(tile)].push_back(token);
  }
  std::vector<std::int64_t> themselves(at(c.tokens()));
  for (std::size_t i = 0; i < themselves.size(); ++i) themselves[i] = static_cast<std::int64_t>(i);
  source.assign(at(c.batch * c.q_heads), themselves);
}

std::vector<double> SparseReference::scores(std::int64_t batch_head, std::int64_t tile) const {
  const std::int64_t batch = batch_head / c.q_heads, head = batch_head % c.q_heads;
  const std::int64_t kv = batch * c.kv_heads + head / (c.q_heads / c.kv_heads);
  const auto mean = [&](const std::vector<double>& x, std::int64_t row, const std::vector<std::int64_t>& tokens) {
    std::vector<double> m(at(c.qk_dim));
    for (const auto u : tokens)
      for (std::size_t d = 0; d < m.size(); ++d)
        m[d] += x[at((row * c.tokens() + u) * c.qk_dim) + d] / static_cast<double>(tokens.size());
    return m;
  };
  std::vector<std::int64_t> computed;
  for (const auto u : tokens_of[at(tile)])
    if (source[at(batch_head)][at(u)] == u) computed.push_back(u);
  const auto query = mean(q, batch_head, computed);
  std::vector<double> result;
  for (const auto& tokens : tokens_of) {
    const auto key = mean(k, kv, tokens);
    double dot = 0;
    for (std::size_t d = 0; d < key.size(); ++d) dot += query[d] * key[d];
    result.push_back(dot / std::sqrt(static_cast<double>(c.qk_dim)));
  }
  return result;
}

void SparseReference::choose(const std::function<std::vector<std::int64_t>(const std::vector<double>&)>& rule) {
  chosen.clear();
  for (std::int64_t row = 0; row < c.batch * c.q_heads; ++row) {
    chosen.emplace_back();
    for (std::int64_t i = 0; i < tiles(); ++i) {
      chosen.back().push_back(rule(scores(row, i)));
      std::sort(chosen.back().back().begin(), chosen.back().back().end());
    }
  }
}

std::vector<double> SparseReference::means(const std::vector<double>& x, std::int64_t heads, std::int64_t dim) const {
  std::vector<double> m(at(c.batch * heads * tiles() * dim));
  for (std::int64_t row = 0; row < c.batch * heads; ++row)
    for (std::int64_t i = 0; i < tiles(); ++i)
      for (const auto u : tokens_of[at(i)])
        for (std::int64_t d = 0; d < dim; ++d)
          m[at((row * tiles() + i) * dim + d)] +=
              x[at((row * c.tokens() + u) * dim + d)] / static_cast<double>(tokens_of[at(i)].size());
  return m;
}

void SparseReference::spread(std::vector<double>& dx, const std::vector<double>& dmeans, std::int64_t heads,
                             std::int64_t dim) const {
  for (std::int64_t row = 0; row < c.batch * heads; ++row)
    for (std::int64_t u = 0; u < c.tokens(); ++u)
      for (std::int64_t d = 0; d < dim; ++d)
        dx[at((row * c.tokens() + u) * dim + d)] += dmeans[at((row * tiles() + tile_of[at(u)]) * dim + d)] /
                                                    static_cast<double>(tokens_of[at(tile_of[at(u)])].size());
}

void SparseReference::forward() {
  const std::int64_t length = c.tokens(), rows = c.batch * c.q_heads;
  fine_.shape = {c.batch, c.q_heads, c.kv_heads, length, length, c.qk_dim, c.v_dim};
  fine_.scale = 1 / std::sqrt(static_cast<double>(c.qk_dim));
  fine_.q = q, fine_.k = k, fine_.v = v;
  fine_.bias.assign(at(rows * length * length), -infinity);
  density.clear();
  for (std::int64_t row = 0; row < rows; ++row) {
    double pairs = 0;
    for (std::int64_t u = 0; u < length; ++u) {
      if (source[at(row)][at(u)] != u) continue;
      for (const auto tile : chosen[at(row)][at(tile_of[at(u)])])
        for (const auto j : tokens_of[at(tile)]) fine_.bias[at((row * length + u) * length + j)] = 0, ++pairs;
    }
    density.push_back(pairs / static_cast<double>(length * length));
  }
  fine_.forward();
  lse = fine_.lse;
  y.assign(fine_.y.size(), 0);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t u = 0; u < length; ++u)
      if (const auto from = source[at(row)][at(u)]; from >= 0)
        std::copy_n(fine_.y.begin() + (row * length + from) * c.v_dim, c.v_dim,
                    y.begin() + (row * length + u) * c.v_dim);
  if (!c.gated) return;
  coarse_.shape = {c.batch, c.q_heads, c.kv_heads, tiles(), tiles(), c.qk_dim, c.v_dim};
  coarse_.scale = fine_.scale;
  coarse_.q = means(q, c.q_heads, c.qk_dim), coarse_.k = means(k, c.kv_heads, c.qk_dim);
  coarse_.v = means(v, c.kv_heads, c.v_dim);
  coarse_.bias.assign(at(rows * tiles() * tiles()), 0);
  coarse_.forward();
  for (std::int64_t i = 0; i < rows * length; ++i)
    for (std::int64_t d = 0; d < c.v_dim; ++d)
      y[at(i * c.v_dim + d)] +=
          gate[at(i * c.v_dim + d)] * coarse_.y[at((i / length * tiles() + tile_of[at(i % length)]) * c.v_dim + d)];
}

void SparseReference::backward() {
  const std::int64_t length = c.tokens(), rows = c.batch * c.q_heads;
  fine_.dy.assign(dy.size(), 0);
  fine_.dlse.assign(dlse.size(), 0);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t u = 0; u < length; ++u) {
      const auto from = source[at(row)][at(u)];
      if (from == u) fine_.dlse[at(row * length + u)] = dlse[at(row * length + u)];
      for (std::int64_t d = 0; from >= 0 && d < c.v_dim; ++d)
        fine_.dy[at((row * length + from) * c.v_dim + d)] += dy[at((row * length + u) * c.v_dim + d)];
    }
  fine_.backward();
  dq = fine_.dq, dk = fine_.dk, dv = fine_.dv;
  if (!c.gated) return;
  dgate.assign(gate.size(), 0);
  coarse_.dy.assign(coarse_.y.size(), 0);
  for (std::int64_t i = 0; i < rows * length; ++i)
    for (std::int64_t d = 0; d < c.v_dim; ++d) {
      const auto at_tile = at((i / length * tiles() + tile_of[at(i % length)]) * c.v_dim + d),
                 here = at(i * c.v_dim + d);
      dgate[here] = dy[here] * coarse_.y[at_tile];
      coarse_.dy[at_tile] += dy[here] * gate[here];
    }
  coarse_.backward();
  spread(dq, coarse_.dq, c.q_heads, c.qk_dim);
  spread(dk, coarse_.dk, c.kv_heads, c.qk_dim);
  spread(dv, coarse_.dv, c.kv_heads, c.v_dim);
}

Tensor SparseReference::tensor(const std::vector<double>& x, std::int64_t heads, std::int64_t dim, DType t) const {
  return converted(Tensor::of<double>({c.batch, heads, c.tokens(), dim}, x), t);
}

Tensor SparseReference::selection(std::int64_t width) const {
  std::size_t largest = 0;
  for (const auto& tokens : tokens_of) largest = std::max(largest, tokens.size());
  std::vector<std::int32_t> all;
  for (std::size_t row = 0; row < chosen.size(); ++row)
    for (std::size_t i = 0; i < tokens_of.size(); ++i) {
      const auto& tokens = tokens_of[i];
      for (std::int64_t w = 0; w < width; ++w)
        all.push_back(w < std::ssize(chosen[row][i]) ? static_cast<std::int32_t>(chosen[row][i][at(w)]) : -1);
      for (std::size_t t = 0; t < largest; ++t) {
        if (t >= tokens.size()) {
          all.push_back(-2);
          continue;
        }
        const auto from = std::find(tokens.begin(), tokens.end(), source[row][at(tokens[t])]);
        all.push_back(from == tokens.end() ? -1 : static_cast<std::int32_t>(from - tokens.begin()));
      }
    }
  return Tensor::of<std::int32_t>({c.batch, c.q_heads, tiles(), width + static_cast<std::int64_t>(largest)}, all);
}

}  // namespace tessera
