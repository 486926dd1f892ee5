// Block-sparse attention beside dense attention of the same operands: 8192 tokens of a grid 8 x 32 x 32 in tiles of
// 4 x 4 x 4, every query tile attending to 16 of the 128 key tiles at random. "efficiency" is the rate of computed
// pairs relative to dense attention, measured in turns so that both see the same machine.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "ops/attention/block_sparse.h"
#include "runtime/tensor/tensor.h"

namespace tessera {
namespace {

constexpr std::int64_t tokens = 8192, dim = 128, listed = 16;

struct Operands {
  AttentionShape shape;
  TokenTiles tiles = token_tiles(std::vector<std::int64_t>{8, 32, 32}, std::vector<std::int64_t>{4, 4, 4});
  BlockLists lists;
  Tensor q, k, v, y, dy, dq, dk, dv, lse;

  explicit Operands(std::int64_t heads) : shape{1, heads, heads, tokens, tokens, dim, dim} {
    std::mt19937 engine(5);
    std::normal_distribution<float> normal;
    const Shape shape{1, tokens, heads, dim};  // as models hold it
    for (auto* x : {&q, &k, &v, &y, &dy, &dq, &dk, &dv}) *x = Tensor::zeros(DType::f32, shape);
    for (auto* x : {&q, &k, &v, &dy})
      for (float& e : x->write<float>()) e = normal(engine);
    lse = Tensor::zeros(DType::f32, {heads, tokens});
    lists = {tiles.tiles(), tiles.tiles(), {0}, {}};
    std::vector<std::int32_t> all(static_cast<std::size_t>(tiles.tiles()));
    std::generate(all.begin(), all.end(), [n = 0]() mutable { return n++; });
    for (std::int64_t row = 0; row < heads * tiles.tiles(); ++row) {
      std::sample(all.begin(), all.end(), std::back_inserter(lists.tile), listed, engine);
      lists.begin.push_back(static_cast<std::int64_t>(lists.tile.size()));
    }
  }
  AttentionView<float> view(Tensor& x) const { return {x.write<float>().data(), 0, dim, shape.q_heads * dim}; }
  AttentionView<const float> in(const Tensor& x) const { return {x.read<float>().data(), 0, dim, shape.q_heads * dim}; }
  AttentionGradients<float> gradients() { return {view(dq), view(dk), view(dv)}; }

  static constexpr double scale = 0.08838834764831845;  // 1 / sqrt(128)
  void dense(bool backward) {
    attention_forward<float>(shape, in(q), in(k), in(v), {}, scale, 0, view(y), lse.write<float>().data());
    if (backward)
      attention_backward<float>(shape, in(q), in(k), in(v), {}, scale, 0, in(y), lse.read<float>().data(), in(dy),
                                gradients());
  }
  void sparse(bool backward) {
    const BlockSparse<float> problem{shape, in(q), in(k), in(v), scale, &tiles, &tiles, &lists};
    block_sparse_forward<float>(problem, view(y), lse.write<float>().data());
    if (backward) block_sparse_backward<float>(problem, in(y), lse.read<float>().data(), in(dy), nullptr, gradients());
  }
};

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + std::ssize(x) / 2, x.end());
  return x[x.size() / 2];
}

void block_sparse(benchmark::State& state) {
  Operands operands(state.range(0));
  const bool backward = state.range(1) != 0;
  std::vector<double> dense, sparse, ratio;
  operands.sparse(backward);
  for (auto _ : state) {
    dense.push_back(seconds([&] { operands.dense(backward); }));
    sparse.push_back(seconds([&] { operands.sparse(backward); }));
    ratio.push_back(dense.back() / sparse.back());
    state.SetIterationTime(sparse.back());
  }
  const double density = static_cast<double>(listed) / static_cast<double>(operands.tiles.tiles());
  state.counters["dense_ms"] = median(dense) * 1e3;
  state.counters["sparse_ms"] = median(sparse) * 1e3;
  state.counters["efficiency"] = density * median(ratio);
}
BENCHMARK(block_sparse)
    ->ArgNames({"heads", "backward"})
    ->ArgsProduct({{1, 12}, {0, 1}})
    ->Iterations(5)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
