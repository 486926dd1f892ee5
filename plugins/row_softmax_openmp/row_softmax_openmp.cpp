// An operator whose threads are OpenMP's own, within the budget that the host lends.
#include <tessera/plugin.hpp>

#include <algorithm>
#include <cmath>

using namespace tessera::plugin;

static void shape(Shape& s) {
  if (s.dims(0).empty()) throw std::invalid_argument("X must have at least one axis");
  s.set(0, s.dims(0));
}

// y = exp(x - max x) / sum exp(x - max x)
static void softmax(const float* x, float* y, std::int64_t n) {
  float largest = x[0], sum = 0;
  for (std::int64_t i = 1; i < n; ++i) largest = std::max(largest, x[i]);
  for (std::int64_t i = 0; i < n; ++i) sum += y[i] = std::exp(x[i] - largest);
  for (std::int64_t i = 0; i < n; ++i) y[i] /= sum;
}

static void kernel(Kernel& k) {
  const auto x = k.read<float>(0);
  const auto y = k.write<float>(0);
  if (x.empty()) return;
  const std::int64_t row = k.dims(0).back(), rows = std::ssize(x) / row;
  const ThreadLease lease(k);
  // A row is one thread's: the result does not depend on how many there are. Nothing here may throw out of the region.
#pragma omp parallel for num_threads(lease.threads()) schedule(static)
  for (std::int64_t r = 0; r < rows; ++r) softmax(x.data() + r * row, y.data() + r * row, row);
}

// dx = y (dy - sum(y dy))
static void gradient(Gradient& g) {
  static constexpr std::int64_t last[] = {-1};
  const Value weighted = g.out(0) * g.dout(0);
  g.set(0, weighted - g.out(0) * g.node("ReduceSum", {weighted, g.integers(last)}, "keepdims=1"));
}

static double flops(Kernel& k) {
  double elements = 1;
  for (const auto d : k.dims(0)) elements *= static_cast<double>(d);
  return 5 * elements;
}

constexpr tsr_port inputs[] = {Port{.name = "X", .types = "f32", .doc = "[... x n]"}};
constexpr tsr_port outputs[] = {Port{.name = "Y", .types = "=X", .doc = "shape of X; each row of n sums to 1"}};
constexpr const char* examples[] = {"{0, 0} -> {0.5, 0.5}",
                                    "{{1, 2}, {3, 3}} -> {{0.26894143, 0.7310586}, {0.5, 0.5}}"};
constexpr tsr_op ops[] = {Operator{.name = "RowSoftmax",
                                   .domain = "com.example",
                                   .doc = "Softmax over the last axis, on OpenMP's threads.",
                                   .source = "ONNX Softmax-13",
                                   .inputs = inputs,
                                   .outputs = outputs,
                                   .shape = guard<shape>,
                                   .kernel = guard<kernel>,
                                   .gradient = guard<gradient>,
                                   .flops = guard<flops>,
                                   .examples = examples}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = Plugin{.name = "row_softmax_openmp",
                                              .version = "1.0",
                                              .doc = "Softmax on the threads of a library of its own",
                                              .ops = ops};
  return &plugin;
}
