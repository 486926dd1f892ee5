// Attention methods whole, selection and gate included, beside dense attention of the same operands, [1, tokens, heads,
// 128] in float32. "selection" is the time of choosing relative to that of the kernel that follows, "fine" and "ratio"
// that of the kernel and of everything relative to dense attention, "gain" the inverse of "ratio". Measured in turns,
// so that all see the same machine. Needs the plugins beside the binary.
#include <benchmark/benchmark.h>

#include <numeric>
#include <random>

#include "ops/attention/run_method.h"
#include "runtime/exec/workers.h"
#include "runtime/session/plugin_host.h"
#include "tests/bench/in_turns.h"

namespace tessera {
namespace {

constexpr std::int64_t dim = 128;
constexpr double scale = 0.08838834764831845;  // 1 / sqrt(dim)

struct Case {
  const char* plugin;
  Attributes parameters;
  std::vector<std::int64_t> grid;
  std::int64_t heads = 12;
  int threads = 1;
  bool gated = false, backward = false;
};

struct Operands {
  Tensor q, k, v, gate, y, dy, dq, dk, dv, dgate, lse;
  MethodTensors tensors;  // without the gate

  Operands(std::int64_t tokens, std::int64_t heads) : lse(Tensor::zeros(DType::f32, {heads, tokens})) {
    std::mt19937 engine(5);
    std::uniform_real_distribution<float> uniform(-1.7f, 1.7f);
    for (auto* x : {&q, &k, &v, &gate, &y, &dy, &dq, &dk, &dv, &dgate}) {
      *x = Tensor::zeros(DType::f32, {1, tokens, heads, dim});
      for (float& e : x->write<float>()) e = uniform(engine);
    }
    tensors.dtype = DType::f32, tensors.lse = lse.raw();
    tensors.q = in(q), tensors.k = in(k), tensors.v = in(v), tensors.dy = in(dy);
    tensors.y = out(y), tensors.dq = out(dq), tensors.dk = out(dk), tensors.dv = out(dv);
  }
  MethodTensors gated() {
    MethodTensors t = tensors;
    t.gate = in(gate), t.dgate = out(dgate);
    return t;
  }
  static AttentionView<const void> in(const Tensor& x) { return {x.raw(), 0, dim, x.shape()[2] * dim}; }
  static AttentionView<void> out(Tensor& x) { return {x.raw(), 0, dim, x.shape()[2] * dim}; }
};

void method(benchmark::State& state, const Case& c) {
  const std::int64_t tokens = c.grid[0] * c.grid[1] * c.grid[2];
  const AttentionShape shape{1, c.heads, c.heads, tokens, tokens, dim, dim};
  const AttentionMethod* m = find_method(c.plugin);
  if (m == nullptr) m = load_plugin(c.plugin).methods.at(0);
  const PlannedMethod planned(*m, shape, scale, c.grid, c.parameters), all(*find_method("dense"), shape, scale, {}, {});
  Operands operands(tokens, c.heads);
  const MethodTensors plain = operands.tensors, full = c.gated ? operands.gated() : plain;
  const auto run = [&](const PlannedMethod& method, const MethodTensors& t, const Selection* selection) {
    run_forward(method, t, selection);
    if (c.backward) run_backward(method, t, selection);
  };
  Selection selection;
  std::vector<double> dense, choosing, fine, whole;
  Workers(c.threads).run([&] {
    for (auto _ : state) {
      choosing.push_back(seconds([&] { selection = select(planned, plain); }));
      fine.push_back(seconds([&] { run(planned, plain, &selection); }));
      whole.push_back(choosing.back() + (c.gated ? seconds([&] { run(planned, full, &selection); }) : fine.back()));
      dense.push_back(seconds([&] { run(all, plain, nullptr); }));
      state.SetIterationTime(whole.back());
    }
  });
  const auto kept = densities(planned, &selection);
  const double density = std::accumulate(kept.begin(), kept.end(), 0.0) / static_cast<double>(kept.size());
  state.counters["dense_ms"] = median(dense) * 1e3;
  state.counters["density"] = density;
  state.counters["selection"] = median_ratio(choosing, fine);
  state.counters["fine"] = median_ratio(fine, dense);
  state.counters["ratio"] = median_ratio(whole, dense);
  state.counters["gain"] = 1 / median_ratio(whole, dense);
  state.counters["efficiency"] = density / median_ratio(whole, dense);
}

// 8192 tokens.
void vsa(benchmark::State& state) {
  method(state, {.plugin = "vsa",
                 .parameters = {{"sparsity", 0.9f}},
                 .grid = {8, 32, 32},
                 .threads = static_cast<int>(state.range(0)),
                 .gated = state.range(1) != 0,
                 .backward = state.range(2) != 0});
}
BENCHMARK(vsa)
    ->ArgNames({"threads", "gated", "backward"})
    ->ArgsProduct({{1, 2}, {0, 1}, {0, 1}})
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// Half of the queries: a density of 0.05, and of 0.1.
void bsa(benchmark::State& state) {
  method(state, {.plugin = "bsa",
                 .parameters = {{"keep_queries", 0.5f},
                                {"kv_keep", static_cast<float>(state.range(1)) / 100},
                                {"kv_rule", std::string("topk")}},
                 .grid = {8, 32, 32},
                 .threads = static_cast<int>(state.range(0)),
                 .backward = state.range(2) != 0});
}
BENCHMARK(bsa)
    ->ArgNames({"threads", "kv_percent", "backward"})
    ->ArgsProduct({{1, 2}, {10, 20}, {0, 1}})
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// A grid that tiles do not divide, as a video of 81 frames at 480 x 832 has it: 32,760 tokens.
void vsa_ragged(benchmark::State& state) {
  method(state, {.plugin = "vsa",
                 .parameters = {{"sparsity", 0.9f}},
                 .grid = {21, 30, 52},
                 .heads = state.range(1),
                 .threads = static_cast<int>(state.range(0)),
                 .gated = true});
}
BENCHMARK(vsa_ragged)
    ->ArgNames({"threads", "heads"})
    ->ArgsProduct({{1, 2}, {1, 3}})
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// 76,800 tokens, forward and backward, one head: about a minute, most of it dense attention.
void bsa_long(benchmark::State& state) {
  method(state, {.plugin = "bsa",
                 .parameters = {{"keep_queries", 0.5f}, {"kv_keep", 0.1f}, {"kv_rule", std::string("topk")}},
                 .grid = {20, 48, 80},
                 .heads = 1,
                 .threads = static_cast<int>(state.range(0)),
                 .backward = true});
}
BENCHMARK(bsa_long)
    ->ArgNames({"threads"})
    ->Arg(1)
    ->Arg(2)
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
