// The smallest operator plugin: shape rule, kernel, gradient, documentation, examples.
#include <tessera/plugin.hpp>

#include <cmath>

using namespace tessera::plugin;

static void shape(Shape& s) { s.set(0, s.dims(0)); }

static void kernel(Kernel& k) {
  with_type<float, double>(k.dtype(0), [&]<class T>(T) {
    const auto x = k.read<T>(0);
    const auto y = k.write<T>(0);
    const T beta = static_cast<T>(k.real("beta"));
    k.parallel(std::ssize(x), 16384, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i) y[i] = x[i] / (1 + std::exp(-beta * x[i]));
    });
  });
}

// With s = sigmoid(beta x), y = x s:  dx = dy (s + beta y (1 - s)).
static void gradient(Gradient& g) {
  const double beta = g.real("beta");
  const Value s = g.node("Sigmoid", {beta * g.in(0)});
  g.set(0, g.dout(0) * (s + beta * g.out(0) * (1 - s)));
}

constexpr tsr_port inputs[] = {Port{.name = "X", .doc = "any shape"}};
constexpr tsr_port outputs[] = {Port{.name = "Y", .types = "=X", .doc = "shape of X"}};
constexpr tsr_parameter attributes[] = {
    Parameter{.name = "beta", .fallback = "1", .low = -1000, .high = 1000, .doc = "steepness; 1 is SiLU"}};
constexpr const char* examples[] = {"{0, 1, -1} -> {0, 0.7310586, -0.26894143}",
                                    "{{1}, {2}}; beta=2 -> {{0.8807971}, {1.964028}}"};
constexpr tsr_op ops[] = {Operator{.name = "Swish",
                                   .domain = "com.example",
                                   .doc = "y = x * sigmoid(beta * x), elementwise.",
                                   .source = "Ramachandran et al. 2017, arXiv:1710.05941, equation 1",
                                   .inputs = inputs,
                                   .outputs = outputs,
                                   .attributes = attributes,
                                   .flags = TSR_POINTWISE,
                                   .shape = guard<shape>,
                                   .kernel = guard<kernel>,
                                   .gradient = guard<gradient>,
                                   .examples = examples}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "swish", .version = "1.0", .doc = "Swish activations", .ops = ops};
  return &plugin;
}
