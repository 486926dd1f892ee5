// A plugin built against headers of a later ABI, which added a field to every table, and content with a host of ABI 1.
#include <tessera/plugin.hpp>

#include <algorithm>

using namespace tessera::plugin;

namespace {

template <class T>
struct Newer {
  T now;
  void* appended;
};

template <class T>
constexpr Newer<T> newer(T now) {
  now.size = sizeof(Newer<T>);
  return {now, nullptr};
}

void shape(Shape& s) { s.set(0, s.dims(0)); }
void copy(Kernel& k) { std::ranges::copy(k.read<float>(0), k.write<float>(0).begin()); }
void negate(Kernel& k) {
  std::ranges::transform(k.read<float>(0), k.write<float>(0).begin(), [](float x) { return -x; });
}

constexpr Newer<tsr_port> x[] = {newer<tsr_port>(Port{.name = "X", .types = "f32", .doc = "any shape"})};
constexpr Newer<tsr_port> y[] = {newer<tsr_port>(Port{.name = "Y", .types = "=X", .doc = "shape of X"})};
constexpr const char* copied[] = {"{1, 2} -> {1, 2}"};
constexpr const char* negated[] = {"{1, 2} -> {-1, -2}"};

constexpr Newer<tsr_op> op(const char* name, tsr_function kernel, std::span<const char* const> examples) {
  return newer<tsr_op>(Operator{.name = name,
                                .domain = "abi.newer",
                                .doc = "Of later headers.",
                                .source = "none",
                                .inputs = {&x[0].now, 1},
                                .outputs = {&y[0].now, 1},
                                .flags = TSR_NO_GRADIENT,
                                .shape = guard<shape>,
                                .kernel = kernel,
                                .examples = examples});
}

constexpr Newer<tsr_op> ops[] = {op("Copy", guard<copy>, copied), op("Negate", guard<negate>, negated)};

}  // namespace

const tsr_plugin* tsr_plugin_entry() {
  static constexpr Newer<tsr_plugin> plugin = [] {
    tsr_plugin made = Plugin{.name = "newer", .version = "1", .doc = "Built against later headers", .least_abi = 1};
    made.abi_version = TSR_ABI_VERSION + 1;
    made.ops = &ops[0].now;
    made.op_count = 2;
    return newer(made);
  }();
  return &plugin.now;
}
