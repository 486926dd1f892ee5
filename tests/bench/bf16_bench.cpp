// bf16 beside f32 on the same numbers: dense attention of 12 heads of 128 and 4096 tokens, block-sparse attention of
// 8192 in tiles of 64, each attending to 16 of 128 at random, and the matrix products of a transformer block. "gain" is
// the time of f32 over that of bf16, measured in turns so that both see the same machine.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "ops/attention/block_sparse.h"
#include "ops/linalg.h"
#include "runtime/exec/workers.h"
#include "runtime/tensor/tensor.h"
#include "tests/bench/in_turns.h"

namespace tessera {
namespace {

// The same numbers in both types.
struct Operand {
  Tensor f32, bf16;
  Operand(const Shape& shape, unsigned seed) : f32(DType::f32, shape) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    for (float& x : f32.write<float>()) x = normal(engine);
    bf16 = converted(f32, DType::bf16);
    f32 = converted(bf16, DType::f32);
  }
  template <class T>
  T* data() {
    return static_cast<T*>((std::is_same_v<T, float> ? f32 : bf16).raw());
  }
};

// f32() and bf16() in turns on so many threads; `flops` of one call.
template <class F32, class Bf16>
void in_turns(benchmark::State& state, int threads, double flops, F32&& f32, Bf16&& bf16) {
  const Workers workers(threads);
  std::vector<double> wide, narrow, gain;
  workers.run([&] {
    f32(), bf16();
    for (auto _ : state) {
      wide.push_back(seconds(f32));
      narrow.push_back(seconds(bf16));
      gain.push_back(wide.back() / narrow.back());
      state.SetIterationTime(narrow.back());
    }
  });
  state.counters["f32_gflops"] = flops / median(wide) * 1e-9;
  state.counters["bf16_gflops"] = flops / median(narrow) * 1e-9;
  state.counters["gain"] = median(gain);
}

void attention(benchmark::State& state) {
  constexpr std::int64_t heads = 12, length = 4096, dim = 128;
  constexpr AttentionShape shape{1, heads, heads, length, length, dim, dim};
  const Shape laid_out{1, length, heads, dim};  // as models hold it
  Operand q(laid_out, 1), k(laid_out, 2), v(laid_out, 3), y(laid_out, 4);
  const auto run = [&]<class T>(T*) {
    const auto in = [&](Operand& x) { return AttentionView<const T>{x.data<T>(), 0, dim, heads * dim}; };
    attention_forward<T>(shape, in(q), in(k), in(v), {}, 0.08838834764831845, 0, {y.data<T>(), 0, dim, heads * dim},
                         nullptr);
  };
  in_turns(
      state, static_cast<int>(state.range(0)), 4.0 * heads * length * length * dim,
      [&] { run(static_cast<float*>(nullptr)); }, [&] { run(static_cast<bf16*>(nullptr)); });
}
BENCHMARK(attention)->ArgName("threads")->Arg(1)->Arg(2)->Iterations(5)->UseManualTime()->Unit(benchmark::kMillisecond);

void block_sparse(benchmark::State& state) {
  constexpr std::int64_t heads = 12, dim = 128, listed = 16;
  const TokenTiles tiles = token_tiles(std::vector<std::int64_t>{8, 32, 32}, std::vector<std::int64_t>{4, 4, 4});
  const std::int64_t length = static_cast<std::int64_t>(tiles.order.size());
  const AttentionShape shape{1, heads, heads, length, length, dim, dim};
  BlockLists lists{tiles.tiles(), tiles.tiles(), {0}, {}};
  std::vector<std::int32_t> all(static_cast<std::size_t>(tiles.tiles()));
  std::iota(all.begin(), all.end(), 0);
  std::mt19937 engine(5);
  for (std::int64_t row = 0; row < heads * tiles.tiles(); ++row) {
    std::sample(all.begin(), all.end(), std::back_inserter(lists.tile), listed, engine);
    lists.begin.push_back(static_cast<std::int64_t>(lists.tile.size()));
  }
  const Shape laid_out{1, length, heads, dim};
  Operand q(laid_out, 1), k(laid_out, 2), v(laid_out, 3), y(laid_out, 4);
  const auto run = [&]<class T>(T*) {
    const auto in = [&](Operand& x) { return AttentionView<const T>{x.data<T>(), 0, dim, heads * dim}; };
    const BlockSparse<T> problem{shape, in(q), in(k), in(v), 0.08838834764831845, &tiles, &tiles, &lists};
    block_sparse_forward<T>(problem, {y.data<T>(), 0, dim, heads * dim}, nullptr);
  };
  const double pairs = static_cast<double>(lists.tile.size()) * 64 * 64;
  in_turns(
      state, static_cast<int>(state.range(0)), 4.0 * dim * pairs, [&] { run(static_cast<float*>(nullptr)); },
      [&] { run(static_cast<bf16*>(nullptr)); });
}
BENCHMARK(block_sparse)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Iterations(5)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void matmul(benchmark::State& state) {
  const std::int64_t m = 4096, k = state.range(1), n = state.range(2);
  Operand a({m, k}, 1), b({k, n}, 2), c({m, n}, 3);
  Product p;
  p.m = m, p.k = k, p.n = n;
  p.a.row_stride = k, p.b.row_stride = p.c.row_stride = n;
  in_turns(
      state, static_cast<int>(state.range(0)), p.flops(),
      [&] { product(DType::f32, p, a.f32.raw(), b.f32.raw(), c.f32.raw()); },
      [&] { product(DType::bf16, p, a.bf16.raw(), b.bf16.raw(), c.bf16.raw()); });
}
BENCHMARK(matmul)
    ->ArgNames({"threads", "k", "n"})
    ->ArgsProduct({{1, 2}, {1536}, {1536, 8960}})
    ->ArgsProduct({{1, 2}, {8960}, {1536}})
    ->Iterations(7)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
