// Loads well; each operator breaks the contract in a way of its own when it runs.
#include "sound.hpp"

#include <cmath>
#include <limits>

using namespace sound;

static void throws(Kernel&) { throw std::runtime_error("the sensor is off"); }
static void throws_in_a_loop(Kernel& k) {
  k.parallel(100, 1, [](std::int64_t i, std::int64_t) {
    if (i == 50) throw std::runtime_error("chunk 50 is cursed");
  });
}
static void writes_nan(Kernel& k) {
  kernel(k);
  k.write<float>(0)[1] = std::numeric_limits<float>::quiet_NaN();
}
static void wrong_type(Kernel& k) { k.read<double>(0); }
static void unknown_attribute(Kernel& k) {
  k.real("alhpa");
  kernel(k);
}

static std::int32_t fails_in_silence(const tsr_host*, tsr_call*) { return 1; }
static std::int32_t lets_an_exception_out(const tsr_host*, tsr_call*) { throw std::runtime_error("I escaped"); }
static std::int32_t chunk_lets_an_exception_out(const tsr_host* host, tsr_call* call) {
  return host->parallel(
      call, 100, 1, [](void*, std::int64_t, std::int64_t) { throw std::runtime_error("out of a chunk"); }, nullptr);
}
static std::int32_t misplaced(const tsr_host* host, tsr_call* call) { return host->choose(call, 0, nullptr, 0); }
static std::int32_t ignores_failures(const tsr_host* host, tsr_call* call) {
  host->fail(call, "the first failure counts");
  return 0;
}

static std::int32_t takes_no_count(const tsr_host* host, tsr_call* call) {
  host->integers(call, "list", nullptr);
  return 0;
}
static double flops_of_nan(const tsr_host*, tsr_call*) { return std::numeric_limits<double>::quiet_NaN(); }

static void no_output(Shape&) {}
static void negative_dim(Shape& s) { s.set(0, {-2}); }
static void too_large(Shape& s) { s.set(0, {std::int64_t{1} << 61}); }
static void refuses(Shape&) { throw std::invalid_argument("X must be a matrix"); }
static void not_pointwise(Shape& s) { s.set(0, {1}); }
static std::int32_t sets_too_many(const tsr_host* host, tsr_call* call) {
  return host->set_output(call, 1, 1, nullptr, 0);
}
static std::int32_t sets_another_type(const tsr_host* host, tsr_call* call) {
  return host->set_output(call, 0, 11, nullptr, 0);
}

constexpr tsr_op with_kernel(const char* name, tsr_function f) {
  auto op = sound::op(name);
  op.kernel = f;
  return op;
}
constexpr tsr_op with_shape(const char* name, tsr_function f, std::uint32_t flags = TSR_NO_GRADIENT) {
  auto op = sound::op(name);
  op.shape = f;
  op.flags = flags;
  return op;
}

constexpr tsr_op ops[] = {with_kernel("Throws", guard<throws>),
                          with_kernel("ThrowsInALoop", guard<throws_in_a_loop>),
                          with_kernel("WritesNan", guard<writes_nan>),
                          with_kernel("WrongType", guard<wrong_type>),
                          with_kernel("UnknownAttribute", guard<unknown_attribute>),
                          with_kernel("FailsInSilence", fails_in_silence),
                          with_kernel("LetsAnExceptionOut", lets_an_exception_out),
                          with_kernel("ChunkLetsAnExceptionOut", chunk_lets_an_exception_out),
                          with_kernel("Misplaced", misplaced),
                          with_kernel("IgnoresFailures", ignores_failures),
                          with_kernel("TakesNoCount", takes_no_count),
                          [] {
                            auto op = sound::op("CountsNan");
                            op.flops = flops_of_nan;
                            return op;
                          }(),
                          with_shape("NoOutput", guard<no_output>),
                          with_shape("NegativeDim", guard<negative_dim>),
                          with_shape("TooLarge", guard<too_large>),
                          with_shape("Refuses", guard<refuses>),
                          with_shape("NotPointwise", guard<not_pointwise>, TSR_POINTWISE),
                          with_shape("SetsTooMany", sets_too_many),
                          with_shape("SetsAnotherType", sets_another_type),
                          with_shape("NoGradient", guard<sound::shape>, 0)};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("faulty_kernels", ops);
  return &plugin;
}
