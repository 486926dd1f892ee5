// The linear layers of a diffusion transformer: f32 products against one plain call of oneDNN, in turns so that both
// see the same machine. Arguments: rows, columns, depth, threads. "of_onednn" compares with one call on one thread; the
// speed-up of two threads is the ratio of two rows.
#include <benchmark/benchmark.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <chrono>

#include "ops/linalg.h"
#include "runtime/tensor/tensor.h"

namespace tessera {
namespace {

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Tensor filled(std::int64_t rows, std::int64_t columns) {
  Tensor t(DType::f32, {rows, columns});
  std::int64_t i = 0;
  for (float& x : t.write<float>()) x = static_cast<float>(i++ * 7919 % 1000) * 1e-3f - 0.5f;
  return t;
}

double median(std::vector<double> all) {
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  return all[all.size() / 2];
}

void linear_layer(benchmark::State& state) {
  Product p;
  p.m = state.range(0), p.n = state.range(1), p.k = state.range(2);
  p.a.row_stride = p.k, p.b.row_stride = p.c.row_stride = p.n;
  const Tensor a = filled(p.m, p.k), b = filled(p.k, p.n), c = filled(p.m, p.n);
  const auto onednn = [&] {
    omp_set_num_threads(1);
    dnnl_sgemm('N', 'N', p.m, p.n, p.k, 1, static_cast<const float*>(a.raw()), p.k, static_cast<const float*>(b.raw()),
               p.n, 0, static_cast<float*>(c.raw()), p.n);
  };
  tbb::task_arena arena(static_cast<int>(state.range(3)));
  std::vector<double> ours, theirs;
  for (auto _ : state) {
    theirs.push_back(seconds(onednn));
    ours.push_back(seconds([&] { arena.execute([&] { product(DType::f32, p, a.raw(), b.raw(), c.raw()); }); }));
    state.SetIterationTime(ours.back());
  }
  state.counters["GFLOP/s"] = p.flops() / median(ours) * 1e-9;
  state.counters["of_onednn"] = median(theirs) / median(ours);
}
BENCHMARK(linear_layer)
    ->ArgsProduct({{4096}, {1536}, {1536}, {1, 2}})
    ->ArgsProduct({{4096}, {8960}, {1536}, {1, 2}})
    ->ArgsProduct({{4096}, {1536}, {8960}, {1, 2}})
    ->ArgsProduct({{512}, {1536}, {1536}, {1, 2}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
