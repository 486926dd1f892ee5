// Dense and block-sparse attention on operands as models hold them, [1, tokens, heads, 128] in float32. "share" is the
// rate relative to the machine's measured peak on as many threads (peak.h); "ratio" the time relative to dense
// attention of the same operands.
#include <benchmark/benchmark.h>

#include <cmath>
#include <numeric>
#include <random>

#include "ops/attention/block_sparse.h"
#include "ops/attention/index_lists.h"
#include "ops/simd.h"
#include "runtime/exec/workers.h"
#include "runtime/op/parallel.h"
#include "runtime/tensor/tensor.h"
#include "tests/bench/in_turns.h"
#include "tests/bench/peak.h"

namespace tessera {
namespace {

constexpr std::int64_t dim = 128;
constexpr double scale = 0.08838834764831845;  // 1 / sqrt(dim)
constexpr int peak_tries = 7;

struct Operands {
  AttentionShape shape;
  Tensor q, k, v, y, dy, dq, dk, dv, lse;

  Operands(std::int64_t heads, std::int64_t kv_heads, std::int64_t q_len, std::int64_t kv_len)
      : shape{1, heads, kv_heads, q_len, kv_len, dim, dim} {
    std::mt19937 engine(5);
    std::uniform_real_distribution<float> uniform(-1.7f, 1.7f);
    for (auto* x : {&q, &y, &dy, &dq}) *x = Tensor::zeros(DType::f32, {1, q_len, heads, dim});
    for (auto* x : {&k, &v, &dk, &dv}) *x = Tensor::zeros(DType::f32, {1, kv_len, kv_heads, dim});
    for (auto* x : {&q, &k, &v, &dy})
      for (float& e : x->write<float>()) e = uniform(engine);
    lse = Tensor::zeros(DType::f32, {heads, q_len});
  }
  Operands(std::int64_t heads, std::int64_t tokens) : Operands(heads, heads, tokens, tokens) {}
  AttentionView<float> out(Tensor& x) const { return {x.write<float>().data(), 0, dim, x.shape()[2] * dim}; }
  AttentionView<const float> in(const Tensor& x) const { return {x.read<float>().data(), 0, dim, x.shape()[2] * dim}; }
  AttentionGradients<float> gradients() { return {out(dq), out(dk), out(dv)}; }

  void dense(bool backward, const AttentionMask<float>& mask = {}) {
    attention_forward<float>(shape, in(q), in(k), in(v), mask, scale, 0, out(y), lse.write<float>().data());
    if (backward)
      attention_backward<float>(shape, in(q), in(k), in(v), mask, scale, 0, in(y), lse.read<float>().data(), in(dy),
                                gradients());
  }
  void sparse(bool backward, const TokenTiles& tiles, const BlockLists& lists) {
    const BlockSparse<float> problem{shape, in(q), in(k), in(v), scale, &tiles, &tiles, &lists};
    block_sparse_forward<float>(problem, out(y), lse.write<float>().data());
    if (backward) block_sparse_backward<float>(problem, in(y), lse.read<float>().data(), in(dy), nullptr, gradients());
  }
  // Multiply-adds count two; backward has five products where forward has two.
  double flops(bool backward) const {
    return 4.0 * static_cast<double>(shape.q_heads * shape.q_len * shape.kv_len * dim) * (backward ? 3.5 : 1);
  }
};

void dense(benchmark::State& state) {
  const auto threads = static_cast<int>(state.range(0));
  Operands operands(state.range(1), state.range(2));
  const bool backward = state.range(3) != 0;
  std::vector<double> rate, peak;
  Workers(threads).run([&] {
    operands.dense(backward);
    for (auto _ : state) {
      const double time = seconds([&] { operands.dense(backward); });
      rate.push_back(operands.flops(backward) / time * 1e-9);
      state.SetIterationTime(time);
      peak.push_back(peak_gflops(threads, peak_tries));
    }
  });
  state.counters["gflops"] = median(rate);
  state.counters["peak"] = median(peak);
  state.counters["share"] = median_ratio(rate, peak);
}
BENCHMARK(dense)
    ->ArgNames({"threads", "heads", "tokens", "backward"})
    ->ArgsProduct({{1, 2}, {12}, {2048, 4096, 8192, 16384}, {0}})
    ->ArgsProduct({{1, 2}, {12}, {4096}, {1}})
    ->Iterations(5)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// Masks beside none: half of the pairs each, but for padding, where all are computed.
enum Variant { causal, causal_bias, window, padding, grouped };
void dense_variant(benchmark::State& state) {
  constexpr std::int64_t heads = 12, tokens = 4096;
  const auto variant = static_cast<Variant>(state.range(1));
  Operands full(heads, tokens), operands(heads, variant == grouped ? 3 : heads, tokens, tokens);
  Tensor bias = Tensor::zeros(DType::f32, {tokens, tokens}), keep = Tensor::zeros(DType::boolean, {tokens, tokens});
  AttentionMask<float> mask;
  for (std::int64_t i = 0; i < tokens; ++i)
    for (std::int64_t j = 0; j < tokens; ++j) {
      static_cast<float*>(bias.raw())[i * tokens + j] = j > i ? -INFINITY : 0;
      static_cast<std::uint8_t*>(keep.raw())[i * tokens + j] =
          variant == window ? std::abs(i - j) < tokens * 3 / 10 : (i * 7 + j) % 5 != 0;
    }
  if (variant == causal) mask.causal = true;
  if (variant == causal_bias) mask.bias = bias.read<float>().data(), mask.bias_strides = {0, 0, tokens, 1};
  if (variant == window || variant == padding)
    mask.keep = static_cast<const std::uint8_t*>(keep.raw()), mask.keep_strides = {0, 0, tokens, 1};
  std::vector<double> whole, time;
  Workers(static_cast<int>(state.range(0))).run([&] {
    for (auto _ : state) {
      whole.push_back(seconds([&] { full.dense(false); }));
      time.push_back(seconds([&] { operands.dense(false, mask); }));
      state.SetIterationTime(time.back());
    }
  });
  constexpr std::array<const char*, 5> names{"causal", "causal as a bias", "keep |i - j| < 0.3 L", "keep 4 of 5",
                                             "12 heads on 3"};
  state.SetLabel(names[variant]);
  state.counters["ratio"] = median_ratio(time, whole);
}
BENCHMARK(dense_variant)
    ->ArgNames({"threads", "variant"})
    ->ArgsProduct({{1}, {causal, causal_bias, window, padding, grouped}})
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// One query of `group` heads for each of a cache [heads, 65536, 128], or [65536, heads, 128]: bytes of K and V per
// second, and the share of what plainly summing them up reaches.
void decode(benchmark::State& state) {
  constexpr std::int64_t tokens = 65536;
  const std::int64_t heads = state.range(1), by_token = state.range(2), group = state.range(3);
  Operands o(heads * group, heads, 1, tokens);
  const auto k = o.k.read<float>(), v = o.v.read<float>();
  const auto cache = [&](auto x) {
    return by_token ? AttentionView<const float>{x.data(), 0, dim, heads * dim}
                    : AttentionView<const float>{x.data(), 0, tokens * dim, dim};
  };
  const auto sum_up = [&](std::int64_t begin, std::int64_t end) {
    simd::Vec<float> sum[4]{};
    for (std::int64_t i = begin; i < end; i += 2 * simd::kLanes<float>)
      for (int u = 0; u < 2; ++u) {
        sum[u] += simd::load(k.data() + i + u * simd::kLanes<float>);
        sum[u + 2] += simd::load(v.data() + i + u * simd::kLanes<float>);
      }
    benchmark::DoNotOptimize(simd::reduce_add<float>((sum[0] + sum[1]) + (sum[2] + sum[3])));
  };
  std::vector<double> time, limit;
  Workers(static_cast<int>(state.range(0))).run([&] {
    for (auto _ : state) {
      limit.push_back(seconds([&] { run_parallel(std::ssize(k), 1 << 20, sum_up); }));
      time.push_back(seconds([&] {
        attention_forward<float>(o.shape, o.in(o.q), cache(k), cache(v), {}, scale, 0, o.out(o.y), nullptr);
      }));
      state.SetIterationTime(time.back());
    }
  });
  state.counters["GB/s"] = static_cast<double>(k.size_bytes() + v.size_bytes()) / median(time) * 1e-9;
  state.counters["share"] = median_ratio(limit, time);
}
BENCHMARK(decode)
    ->ArgNames({"threads", "heads", "by_token", "group"})
    ->ArgsProduct({{1, 2}, {12}, {0, 1}, {1}})
    ->ArgsProduct({{1, 2}, {12}, {0}, {4, 8}})
    ->Iterations(15)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// Tiles of 4 x 4 x 4 tokens of a grid [tokens / 1024, 32, 32]; the first `global` query tiles of each head attend to
// all key tiles, every other one to as many, drawn at random.
BlockLists random_lists(std::int64_t heads, std::int64_t tiles, std::int64_t listed, std::int64_t global) {
  BlockLists lists{tiles, tiles, {0}, {}};
  std::vector<std::int32_t> all(static_cast<std::size_t>(tiles));
  std::iota(all.begin(), all.end(), 0);
  std::mt19937 engine(7);
  for (std::int64_t row = 0; row < heads * tiles; ++row) {
    std::sample(all.begin(), all.end(), std::back_inserter(lists.tile), row % tiles < global ? tiles : listed, engine);
    lists.begin.push_back(static_cast<std::int64_t>(lists.tile.size()));
  }
  return lists;
}

// "efficiency" is the rate of computed pairs relative to dense attention: density / ratio.
void block_sparse(benchmark::State& state, std::int64_t heads, std::int64_t tokens, std::int64_t permille,
                  std::int64_t global, bool backward) {
  Operands operands(heads, tokens);
  const TokenTiles tiles =
      token_tiles(std::vector<std::int64_t>{tokens / 1024, 32, 32}, std::vector<std::int64_t>{4, 4, 4});
  const std::int64_t n = tiles.tiles();
  const BlockLists lists = random_lists(heads, n, (n * permille + 500) / 1000, global);
  std::vector<double> whole, time;
  Workers(static_cast<int>(state.range(0))).run([&] {
    operands.sparse(backward, tiles, lists);
    for (auto _ : state) {
      whole.push_back(seconds([&] { operands.dense(backward); }));
      time.push_back(seconds([&] { operands.sparse(backward, tiles, lists); }));
      state.SetIterationTime(time.back());
    }
  });
  const double density = static_cast<double>(lists.tile.size()) / static_cast<double>(heads * n * n);
  state.counters["dense_ms"] = median(whole) * 1e3;
  state.counters["density"] = density;
  state.counters["ratio"] = median_ratio(time, whole);
  state.counters["efficiency"] = density / median_ratio(time, whole);
}

void block_sparse(benchmark::State& state) {
  block_sparse(state, state.range(1), state.range(2), state.range(3), 0, state.range(4) != 0);
}
BENCHMARK(block_sparse)
    ->ArgNames({"threads", "heads", "tokens", "permille", "backward"})
    ->ArgsProduct({{1, 2}, {12}, {8192}, {100, 125}, {0, 1}})
    ->ArgsProduct({{1, 2}, {1}, {8192, 32768}, {100}, {0, 1}})
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// Lists of unequal length, as global tokens make them: the longest is 20 times the others.
void block_sparse_ragged(benchmark::State& state) {
  block_sparse(state, state.range(1), state.range(2), 50, 4, state.range(3) != 0);
}
BENCHMARK(block_sparse_ragged)
    ->ArgNames({"threads", "heads", "tokens", "backward"})
    ->ArgsProduct({{1, 2}, {12}, {8192}, {0, 1}})
    ->ArgsProduct({{1, 2}, {1}, {32768}, {0, 1}})
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// Every run of `rows` queries attends to a tenth of the keys, drawn at random one by one; "efficiency" as above.
void index_lists(benchmark::State& state) {
  constexpr std::int64_t heads = 4, tokens = 4096, listed = tokens / 10;
  Operands o(heads, tokens);
  IndexLists lists{state.range(1), (tokens + state.range(1) - 1) / state.range(1), {0}, {}};
  std::vector<std::int32_t> all(static_cast<std::size_t>(tokens));
  std::iota(all.begin(), all.end(), 0);
  std::mt19937 engine(7);
  for (std::int64_t row = 0; row < heads * lists.groups; ++row) {
    std::sample(all.begin(), all.end(), std::back_inserter(lists.key), listed, engine);
    lists.begin.push_back(static_cast<std::int64_t>(lists.key.size()));
  }
  std::vector<double> whole, time;
  Workers(static_cast<int>(state.range(0))).run([&] {
    for (auto _ : state) {
      whole.push_back(seconds([&] { o.dense(false); }));
      time.push_back(seconds([&] {
        index_list_forward<float>(o.shape, o.in(o.q), o.in(o.k), o.in(o.v), scale, lists, o.out(o.y),
                                  o.lse.write<float>().data());
      }));
      state.SetIterationTime(time.back());
    }
  });
  state.counters["ratio"] = median_ratio(time, whole);
  state.counters["efficiency"] = static_cast<double>(listed) / tokens / median_ratio(time, whole);
}
BENCHMARK(index_lists)
    ->ArgNames({"threads", "rows"})
    ->ArgsProduct({{1, 2}, {1, 4, 16, 64}})
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
