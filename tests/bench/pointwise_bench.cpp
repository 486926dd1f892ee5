// The pieces of a transformer block that do next to nothing to each element: how near to the memory's limit are they?
// Operands of 8192 tokens x 1536 in float32, 50 MB each, larger than caches. "GB/s" counts what has to be read and
// written once; "share" is the rate relative to plainly copying x to y, or, in place, x to itself. Measured in turns.
#include <benchmark/benchmark.h>

#include <random>

#include "ops/simd.h"
#include "runtime/exec/workers.h"
#include "runtime/op/context.h"
#include "runtime/op/registry.h"
#include "tests/bench/in_turns.h"

namespace tessera {
namespace {

constexpr std::int64_t tokens = 8192, heads = 12, width = 1536;
const Shape full{1, tokens, width}, row{1, 1, width}, angles{1, tokens, width / heads / 2};

void copy(const Tensor& x, Tensor& y) {
  const float* from = x.read<float>().data();
  float* to = y.write<float>().data();
  run_parallel(x.size(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += simd::kLanes<float>) simd::store<float>(to + i, simd::load(from + i));
  });
}

// One node whose output has the shape of input 0. Arguments: threads, in place.
void node(benchmark::State& state, std::string_view name, const Attributes& attributes, std::vector<Shape> shapes) {
  const OpDef& op = builtin_registry().at(name);
  std::mt19937 engine(5);
  std::uniform_real_distribution<float> uniform(-1.7f, 1.7f);
  std::vector<Tensor> tensors;
  std::vector<TensorType> types;
  std::vector<const Tensor*> in;
  for (const Shape& s : shapes) {
    for (float& x : tensors.emplace_back(Tensor::zeros(DType::f32, s)).write<float>()) x = uniform(engine);
    types.push_back({DType::f32, s});
  }
  for (const Tensor& t : tensors) in.push_back(&t);
  Tensor y = state.range(1) != 0 ? tensors[0] : Tensor::zeros(DType::f32, shapes[0]);
  Tensor* const out[]{&y};
  std::shared_ptr<const void> prepared;
  const std::vector<const Tensor*> no_constants(in.size());
  if (op.prepare) prepared = op.prepare(PrepareContext(op, attributes, types, std::span(types).first(1), no_constants));
  const KernelContext kernel(op, attributes, in, out, prepared.get());
  std::vector<double> time, limit;
  Workers(static_cast<int>(state.range(0))).run([&] {
    for (auto _ : state) {
      limit.push_back(seconds([&] { copy(tensors[0], y); }));
      time.push_back(seconds([&] { op.kernel(kernel); }));
      state.SetIterationTime(time.back());
    }
  });
  const auto bytes_of = [](const Tensor& t) { return static_cast<double>(t.bytes()); };
  double bytes = bytes_of(y);
  for (const Tensor& t : tensors) bytes += bytes_of(t);
  state.counters["GB/s"] = bytes / median(time) * 1e-9;
  state.counters["share"] = bytes / (2 * bytes_of(y)) * median_ratio(limit, time);
}

void rotary_embedding(benchmark::State& state) {
  node(state, "RotaryEmbedding", {{"num_heads", heads}, {"interleaved", std::int64_t{1}}}, {full, angles, angles});
}
void rms_normalization(benchmark::State& state) { node(state, "RMSNormalization", {}, {full, row}); }
// With the scale and shift of adaptive layer norm in place of its own.
void modulated_layer_normalization(benchmark::State& state) { node(state, "LayerNormalization", {}, {full, row, row}); }
void gelu(benchmark::State& state) { node(state, "Gelu", {{"approximate", std::string("tanh")}}, {full}); }
// What follows a linear layer: bias, gate, and the residual.
void fused_chain(benchmark::State& state) {
  const std::vector<std::string> steps{"Add(x0, x1)", "Mul(s0, x2)", "Add(s1, x3)"};
  node(state, "tessera::Fused", {{"steps", steps}}, {full, row, row, full});
}

void shared_arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"threads", "in_place"})->ArgsProduct({{1, 2}, {0, 1}})->Iterations(15)->UseManualTime();
  b->Unit(benchmark::kMillisecond);
}
BENCHMARK(rotary_embedding)->Apply(shared_arguments);
BENCHMARK(rms_normalization)->Apply(shared_arguments);
BENCHMARK(modulated_layer_normalization)->Apply(shared_arguments);
BENCHMARK(gelu)->Apply(shared_arguments);
BENCHMARK(fused_chain)->Apply(shared_arguments);

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
