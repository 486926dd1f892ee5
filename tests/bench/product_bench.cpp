// The linear layers of a diffusion transformer: f32 products against oneDNN, in turns so that both see the same
// machine.
#include <benchmark/benchmark.h>
#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>

#include "ops/linalg.h"
#include "runtime/exec/workers.h"
#include "runtime/op/parallel.h"
#include "runtime/tensor/tensor.h"
#include "tests/bench/in_turns.h"

namespace tessera {
namespace {

Tensor filled(std::int64_t rows, std::int64_t columns) {
  Tensor t(DType::f32, {rows, columns});
  std::int64_t i = 0;
  for (float& x : t.write<float>()) x = static_cast<float>(i++ * 7919 % 1000) * 1e-3f - 0.5f;
  return t;
}

const float* data(const Tensor& t) { return static_cast<const float*>(t.raw()); }

// Weights as often as it takes to have them come from memory, as they do in a model of many layers.
std::vector<Tensor> many_weights(std::int64_t depth, std::int64_t columns) {
  constexpr std::int64_t bytes = 128 << 20;
  std::vector<Tensor> weights;
  for (std::int64_t i = 0; i < std::max<std::int64_t>(2, bytes / (4 * depth * columns)); ++i)
    weights.push_back(filled(depth, columns));
  return weights;
}

Product of_size(std::int64_t m, std::int64_t n, std::int64_t k) {
  Product p;
  p.m = m, p.n = n, p.k = k;
  p.a.row_stride = p.k, p.b.row_stride = p.c.row_stride = p.n;
  return p;
}

// "of_onednn" compares with one plain call on one thread; the speed-up of two threads is the ratio of two rows.
void beside_onednn(benchmark::State& state, const Product& p, int threads) {
  const Tensor a = filled(p.m, p.k), b = filled(p.k, p.n), c = filled(p.m, p.n);
  const auto onednn = [&] {
    omp_set_num_threads(1);
    dnnl_sgemm(p.a.transposed ? 'T' : 'N', 'N', p.m, p.n, p.k, 1, data(a), p.a.row_stride, data(b), p.n, 0,
               static_cast<float*>(c.raw()), p.n);
  };
  const Workers workers(threads);
  std::vector<double> ours, theirs;
  for (auto _ : state) {
    theirs.push_back(seconds(onednn));
    workers.run([&] { ours.push_back(seconds([&] { product(DType::f32, p, a.raw(), b.raw(), c.raw()); })); });
    state.SetIterationTime(ours.back());
  }
  state.counters["GFLOP/s"] = p.flops() / median(ours) * 1e-9;
  state.counters["of_onednn"] = median_ratio(theirs, ours);
}

// Arguments: rows, columns, depth, threads.
void linear_layer(benchmark::State& state) {
  beside_onednn(state, of_size(state.range(0), state.range(1), state.range(2)), static_cast<int>(state.range(3)));
}
BENCHMARK(linear_layer)
    ->ArgNames({"rows", "columns", "depth", "threads"})
    ->ArgsProduct({{4096}, {1536}, {1536}, {1, 2}})
    ->ArgsProduct({{4096}, {8960}, {1536}, {1, 2}})
    ->ArgsProduct({{4096}, {1536}, {8960}, {1, 2}})
    ->ArgsProduct({{512}, {1536}, {1536}, {1, 2}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// What training adds, the gradient of that layer's weights: the input, transposed, times the gradient of the output.
void weight_gradient(benchmark::State& state) {
  Product p = of_size(state.range(2), state.range(1), state.range(0));
  p.a = {.row_stride = p.m, .transposed = true};
  beside_onednn(state, p, static_cast<int>(state.range(3)));
}
BENCHMARK(weight_gradient)
    ->ArgNames({"rows", "columns", "depth", "threads"})
    ->ArgsProduct({{4096}, {1536}, {1536}, {1, 2}})
    ->ArgsProduct({{4096}, {8960}, {1536}, {1, 2}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// The product with weights that oneDNN laid out once as it likes them, columns split evenly over `pieces`, each piece
// of the result by itself. (oneDNN's `matmul` is no faster, and packs fewer shapes.)
class PackedProduct {
 public:
  PackedProduct(const Product& p, std::int64_t pieces) : p_(p), width_(p.n / pieces), pieces_(pieces) {
    dnnl::primitive_attr user_memory;
    user_memory.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    made_ = dnnl::inner_product_forward::primitive_desc({dnnl::prop_kind::forward_inference,
                                                         matrix(p.m, p.k, p.k),
                                                         {{width_, p.k}, Type::f32, dnnl::memory::format_tag::any},
                                                         matrix(p.m, width_, width_)},
                                                        user_memory, engine());
    product_ = dnnl::inner_product_forward(made_);
    for (std::int64_t i = 0; i < pieces; ++i) scratch_.emplace_back(made_.scratchpad_desc(), engine());
  }

  std::vector<dnnl::memory> packed(const Tensor& b) const {
    std::vector<dnnl::memory> all;
    dnnl::stream stream(engine());
    for (std::int64_t i = 0; i < pieces_; ++i) {
      dnnl::memory plain({{width_, p_.k}, Type::f32, dnnl::memory::dims{1, p_.n}}, engine(),
                         const_cast<float*>(data(b)) + i * width_);
      all.emplace_back(made_.weights_desc(), engine());
      dnnl::reorder(plain, all.back()).execute(stream, plain, all.back());
    }
    stream.wait();
    return all;
  }

  void run(const Tensor& a, const std::vector<dnnl::memory>& b, const Tensor& c) const {
    run_parallel(pieces_, 1, [&](std::int64_t begin, std::int64_t end) {
      dnnl::stream stream(engine());
      for (std::int64_t i = begin; i < end; ++i)
        product_.execute(
            stream, {{DNNL_ARG_SRC, {made_.src_desc(), engine(), const_cast<float*>(data(a))}},
                     {DNNL_ARG_WEIGHTS, b[static_cast<std::size_t>(i)]},
                     {DNNL_ARG_DST, {made_.dst_desc(), engine(), static_cast<float*>(c.raw()) + i * p_.m * width_}},
                     {DNNL_ARG_SCRATCHPAD, scratch_[static_cast<std::size_t>(i)]}});
      stream.wait();
    });
  }
  std::string kernel() const { return made_.impl_info_str(); }

 private:
  using Type = dnnl::memory::data_type;
  static const dnnl::engine& engine() {
    static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
    return cpu;
  }
  static dnnl::memory::desc matrix(std::int64_t rows, std::int64_t columns, std::int64_t stride) {
    return {{rows, columns}, Type::f32, dnnl::memory::dims{stride, 1}};
  }

  Product p_;
  std::int64_t width_, pieces_;
  dnnl::inner_product_forward::primitive_desc made_;
  dnnl::inner_product_forward product_;
  std::vector<dnnl::memory> scratch_;
};

// Arguments as above. "packed" is the rate of weights packed beforehand relative to ours: above 1, packing would win.
void packed_weights(benchmark::State& state) {
  const Product p = of_size(state.range(0), state.range(1), state.range(2));
  const int threads = static_cast<int>(state.range(3));
  const Tensor a = filled(p.m, p.k), c = filled(p.m, p.n), d = filled(p.m, p.n);
  const std::vector<Tensor> weights = many_weights(p.k, p.n);
  std::vector<double> ours, theirs;
  Workers(threads).run([&] {
    omp_set_num_threads(1);
    const PackedProduct other(p, threads);
    std::vector<std::vector<dnnl::memory>> packed;
    for (const Tensor& b : weights) packed.push_back(other.packed(b));
    std::size_t turn = 0;
    for (auto _ : state) {
      const std::size_t i = turn++ % weights.size();
      ours.push_back(seconds([&] { product(DType::f32, p, a.raw(), weights[i].raw(), c.raw()); }));
      theirs.push_back(seconds([&] { other.run(a, packed[i], d); }));
      state.SetIterationTime(ours.back());
    }
    state.SetLabel(other.kernel());
  });
  state.counters["GFLOP/s"] = p.flops() / median(ours) * 1e-9;
  state.counters["GB/s"] = static_cast<double>(weights[0].bytes()) / median(ours) * 1e-9;
  state.counters["packed"] = median_ratio(ours, theirs);
}
BENCHMARK(packed_weights)
    ->ArgNames({"rows", "columns", "depth", "threads"})
    ->ArgsProduct({{1, 4, 16, 64}, {1536, 8960}, {1536}, {1, 2}})
    ->ArgsProduct({{512, 4096}, {1536}, {1536}, {1, 2}})
    ->ArgsProduct({{4096}, {8960}, {1536}, {1, 2}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// Three products that share an input, as queries, keys and values do, against one of three times the columns: "merged"
// is the rate of the one relative to the three. Arguments: rows, threads; 1536 columns each, depth 1536.
void shared_input(benchmark::State& state) {
  constexpr std::int64_t width = 1536;
  const Product each = of_size(state.range(0), width, width), all = of_size(state.range(0), 3 * width, width);
  const Tensor a = filled(each.m, width), c = filled(each.m, 3 * width);
  const std::vector<Tensor> weights = many_weights(width, width), merged = many_weights(width, 3 * width);
  std::vector<double> three, one;
  Workers(static_cast<int>(state.range(1))).run([&] {
    std::size_t turn = 0;
    for (auto _ : state) {
      three.push_back(seconds([&] {
        for (std::int64_t i = 0; i < 3; ++i)
          product(DType::f32, each, a.raw(), weights[(3 * turn + static_cast<std::size_t>(i)) % weights.size()].raw(),
                  static_cast<float*>(c.raw()) + i * each.m * width);
      }));
      one.push_back(seconds([&] { product(DType::f32, all, a.raw(), merged[turn % merged.size()].raw(), c.raw()); }));
      state.SetIterationTime(three.back());
      ++turn;
    }
  });
  state.counters["GFLOP/s"] = all.flops() / median(three) * 1e-9;
  state.counters["merged"] = median_ratio(three, one);
}
BENCHMARK(shared_input)
    ->ArgNames({"rows", "threads"})
    ->ArgsProduct({{1, 16, 512, 4096}, {1, 2}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
