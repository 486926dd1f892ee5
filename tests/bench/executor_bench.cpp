// What a node costs when it does next to nothing, and whether independent work overlaps. Graphs are planned as they
// stand: nothing is folded or fused.
#include <benchmark/benchmark.h>

#include "runtime/exec/executor.h"
#include "runtime/graph/build.h"
#include "runtime/session/session.h"

namespace tessera {
namespace {

constexpr int nodes = 1000;

struct Bench {
  Graph g;
  GraphBuilder build{g, builtin_registry()};
  std::vector<Tensor> inputs;

  ValueId input(const std::string& name, const Shape& shape) {
    SymbolicShape declared;
    for (const auto d : shape) declared.push_back({d, {}});
    inputs.push_back(Tensor::zeros(DType::f32, shape));
    return build.input(name, DType::f32, declared);
  }
  void run(benchmark::State& state, int threads, int counted_nodes) {
    const Workers workers(threads);
    const auto frame = make_frame(std::make_shared<const Plan>(make_plan(g, {.one_thread = threads == 1})));
    for (auto _ : state) benchmark::DoNotOptimize(execute(*frame, inputs, workers));
    state.counters["per_node"] =
        benchmark::Counter(counted_nodes, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  }
};

// y = x + c + c + ...
void chain(benchmark::State& state) {
  Bench b;
  ValueId x = b.input("x", {16});
  const ValueId c = b.build.constant(Tensor::zeros(DType::f32, {16}));
  for (int i = 0; i < nodes; ++i) x = b.build.node("Add", {x, c});
  b.build.output("y", x);
  b.run(state, static_cast<int>(state.range(0)), nodes);
}

// The same with the second operand an input.
void chain_two_inputs(benchmark::State& state) {
  Bench b;
  ValueId x = b.input("x", {16});
  const ValueId z = b.input("z", {16});
  for (int i = 0; i < nodes; ++i) x = b.build.node("Add", {x, z});
  b.build.output("y", x);
  b.run(state, static_cast<int>(state.range(0)), nodes);
}

// 1000 nodes that read one input, and a Concat of all.
void fan(benchmark::State& state) {
  Bench b;
  const ValueId x = b.input("x", {16});
  std::vector<ValueId> ends;
  for (int i = 0; i < nodes; ++i)
    ends.push_back(b.build.node("Add", {x, b.build.constant(Tensor::scalar<float>(static_cast<float>(i)))}));
  b.build.output("y", b.build.node("Concat", ends, {{"axis", std::int64_t{0}}}));
  b.run(state, static_cast<int>(state.range(0)), nodes + 1);
}

// Two chains of matrix products too small to be split inside: with two threads they should run side by side.
void two_heavy_chains(benchmark::State& state) {
  Bench b;
  const ValueId x = b.input("x", {96, 96});
  for (int c = 0; c < 2; ++c) {
    ValueId y = x;
    for (int i = 0; i < 100; ++i) y = b.build.node("MatMul", {y, x});
    b.build.output(concat("y", c), y);
  }
  b.run(state, static_cast<int>(state.range(0)), 200);
}

// 64 products of size x size matrices that share nothing but one operand.
void independent_products(benchmark::State& state) {
  Bench b;
  const std::int64_t size = state.range(0);
  const ValueId x = b.input("x", {size, size});
  for (int i = 0; i < 64; ++i)
    b.build.output(concat("y", i), b.build.node("MatMul", {b.input(concat("x", i), {size, size}), x}));
  b.run(state, static_cast<int>(state.range(1)), 64);
}

// What a run costs beside its nodes.
void session_of_one_node(benchmark::State& state) {
  Bench b;
  b.build.output("y", b.build.node("Neg", {b.input("x", {16})}));
  Session session(b.g, {.threads = static_cast<int>(state.range(0))});
  const NamedTensors inputs{{"x", b.inputs[0]}};
  for (auto _ : state) benchmark::DoNotOptimize(session.run(inputs));
}

BENCHMARK(chain)->Arg(1)->Arg(2)->ArgName("threads");
BENCHMARK(chain_two_inputs)->Arg(1)->Arg(2)->ArgName("threads");
BENCHMARK(fan)->Arg(1)->Arg(2)->ArgName("threads");
BENCHMARK(two_heavy_chains)->Arg(1)->Arg(2)->ArgName("threads")->UseRealTime();
BENCHMARK(independent_products)->ArgsProduct({{64, 256}, {1, 2}})->ArgNames({"size", "threads"})->UseRealTime();
BENCHMARK(session_of_one_node)->Arg(1)->Arg(2)->ArgName("threads");

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
