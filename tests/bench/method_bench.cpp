// Attention methods whole, selection and gate included, beside dense attention of the same operands: 8192 tokens of a
// grid 8 x 32 x 32 in tiles of 4 x 4 x 4. "selection" is the time of choosing relative to that of the kernel that
// follows; "efficiency" is the rate of computed pairs relative to dense attention. Measured in turns, so that all see
// the same machine. Needs the plugins beside the binary.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

#include "ops/attention/run_method.h"
#include "runtime/session/plugin_host.h"

namespace tessera {
namespace {

constexpr std::int64_t tokens = 8192, heads = 12, dim = 128;
constexpr AttentionShape shape{1, heads, heads, tokens, tokens, dim, dim};
constexpr double scale = 0.08838834764831845;  // 1 / sqrt(128)

std::vector<float> random(unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(heads * tokens * dim));
  std::generate(x.begin(), x.end(), [&] { return normal(engine); });
  return x;
}

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

void method(benchmark::State& state, const std::string& plugin, const Attributes& parameters, bool gated) {
  const AttentionMethod& m = *load_plugin(plugin).methods.at(0);
  const std::vector<std::int64_t> grid{8, 32, 32};
  const PlannedMethod planned(m, shape, scale, grid, parameters), all(*find_method("dense"), shape, scale, {}, {});
  const auto q = random(1), k = random(2), v = random(3), gate = random(4);
  std::vector<float> y(q.size()), lse(static_cast<std::size_t>(heads * tokens));
  const auto view = [](auto* x) { return AttentionView<std::remove_pointer_t<decltype(x)>>{x, 0, dim, heads * dim}; };
  const auto in = [&](const std::vector<float>& x) { return view(static_cast<const void*>(x.data())); };
  MethodTensors t;
  t.dtype = DType::f32, t.q = in(q), t.k = in(k), t.v = in(v);
  t.y = view(static_cast<void*>(y.data())), t.lse = lse.data();
  MethodTensors with_gate = t;
  if (gated) with_gate.gate = in(gate);

  Selection selection = select(planned, t);
  std::vector<double> dense, choosing, fine, whole;
  for (auto _ : state) {
    dense.push_back(seconds([&] { run_forward(all, t, nullptr); }));
    choosing.push_back(seconds([&] { selection = select(planned, t); }));
    fine.push_back(seconds([&] { run_forward(planned, t, &selection); }));
    whole.push_back(choosing.back() + seconds([&] { run_forward(planned, with_gate, &selection); }));
    state.SetIterationTime(whole.back());
  }
  const auto kept = densities(planned, &selection);
  const double density = std::accumulate(kept.begin(), kept.end(), 0.0) / static_cast<double>(kept.size());
  state.counters["dense_ms"] = median(dense) * 1e3;
  state.counters["fine_ms"] = median(fine) * 1e3;
  state.counters["selection"] = median(choosing) / median(fine);
  state.counters["density"] = density;
  state.counters["efficiency"] = density * median(dense) / median(whole);
}

void vsa(benchmark::State& state) { method(state, "vsa", {{"sparsity", 0.875f}}, false); }
void vsa_with_gate(benchmark::State& state) { method(state, "vsa", {{"sparsity", 0.875f}}, true); }
void bsa(benchmark::State& state) { method(state, "bsa", {{"kv_keep", 0.25f}}, false); }
BENCHMARK(vsa)->Iterations(5)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(vsa_with_gate)->Iterations(5)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(bsa)->Iterations(5)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
