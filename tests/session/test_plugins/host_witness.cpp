// Operators that report what they see of the host.
#include <tessera/plugin.hpp>

#include <atomic>
#include <chrono>
#include <thread>

using namespace tessera::plugin;

static void one(Shape& s) { s.set(0, {4}); }

// Y: the number of threads lent, how many leases were held at once at most, on how many threads the host's loop ran
// while the lease was held, and 1 when a second lease gave the same.
static void lease(Kernel& k) {
  static std::atomic<int> held = 0;
  const auto y = k.write<float>(0);
  {
    const ThreadLease lease(k);
    const int now = ++held;
    y[0] = static_cast<float>(lease.threads());
    y[1] = static_cast<float>(now);
    std::atomic<int> elsewhere = 0;
    const auto caller = std::this_thread::get_id();
    k.parallel(64, 1, [&](std::int64_t, std::int64_t) {
      if (std::this_thread::get_id() != caller) ++elsewhere;
      std::this_thread::yield();
    });
    y[2] = static_cast<float>(elsewhere);
    y[1] = std::max(y[1], static_cast<float>(held.load()));
    --held;
  }
  const ThreadLease again(k);
  y[3] = again.threads() == static_cast<int>(y[0]) ? 1.0f : 0.0f;
}

// Every kind of attribute, defaults included: Y = {real, integer, sum of integers, length of text}.
static void attributes(Kernel& k) {
  const auto y = k.write<float>(0);
  float sum = 0;
  for (const auto i : k.integers("list")) sum += static_cast<float>(i);
  y[0] = static_cast<float>(k.real("real"));
  y[1] = static_cast<float>(k.integer("integer"));
  y[2] = sum;
  y[3] = k.given("text") ? static_cast<float>(k.text("text").size()) : -1.0f;
}

// Optional and variadic inputs: Y = {inputs there, sum of their first elements, dtype of the last, 1 when W is wanted}.
static void ports(Kernel& k) {
  const auto y = k.write<float>(0);
  float there = 0, sum = 0;
  for (const std::uint32_t i : {0u, 1u, 2u, 3u, 1u << 31, UINT32_MAX})  // of which the last two are no inputs
    if (k.has(i)) {
      ++there;
      sum += k.read<float>(i)[0];
    }
  y[0] = there;
  y[1] = sum;
  y[2] = static_cast<float>(k.dtype(3));
  y[3] = k.wants(1) ? 1.0f : 0.0f;
  if (k.wants(1)) k.write<std::int64_t>(1)[0] = 7;
}
static void ports_shape(Shape& s) {
  s.set(0, {4});
  s.set(1, {1});
}

// Y = A + B without broadcasting; wants inputs of one shape, and has its shape rule trust that they are.
static void pair_shape(Shape& s) { s.set(0, s.dims(0)); }
static void pair(Kernel& k) {
  const auto a = k.read<float>(0), b = k.read<float>(1);
  const auto y = k.write<float>(0);
  if (a.size() != b.size()) throw std::invalid_argument("B is smaller than A");
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = a[i] + b[i];
}

// Y = X, and Z = 2 X where it is wanted.
static void twice_shape(Shape& s) {
  s.set(0, s.dims(0));
  s.set(1, s.dims(0));
}
static void twice(Kernel& k) {
  k.log("twice is asked for");
  const auto x = k.read<float>(0);
  for (std::uint32_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; k.wants(i) && j < x.size(); ++j) k.write<float>(i)[j] = static_cast<float>(i + 1) * x[j];
}
static void twice_gradient(Gradient& g) { g.set(0, g.dout(0) + 2.0 * g.dout(1)); }

constexpr tsr_port x[] = {Port{.name = "X", .types = "f32", .doc = "ignored"}};
constexpr tsr_port y[] = {Port{.name = "Y", .types = "f32", .doc = "[4]"}};
constexpr tsr_port several[] = {Port{.name = "A", .types = "f32", .doc = "any"},
                                Port{.name = "B", .types = "=A", .doc = "any", .flags = TSR_OPTIONAL},
                                Port{.name = "C", .types = "=A", .doc = "any", .flags = TSR_VARIADIC}};
constexpr tsr_port two[] = {Port{.name = "Y", .types = "f32", .doc = "[4]"},
                            Port{.name = "W", .types = "i64", .doc = "[1]", .flags = TSR_OPTIONAL}};
constexpr tsr_port alike[] = {Port{.name = "A", .types = "f32", .doc = "any"},
                              Port{.name = "B", .types = "f32", .doc = "shape of A"}};
constexpr tsr_port sum[] = {Port{.name = "Y", .types = "f32", .doc = "shape of A"}};
constexpr tsr_port copies[] = {Port{.name = "Y", .types = "f32", .doc = "shape of X"},
                               Port{.name = "Z", .types = "f32", .doc = "shape of X", .flags = TSR_OPTIONAL}};
constexpr tsr_parameter parameters[] = {
    Parameter{.name = "real", .fallback = "0.5", .low = 0, .high = 1, .doc = "a share"},
    Parameter{.name = "integer", .type = TSR_INTEGER, .fallback = "3", .doc = "a count"},
    Parameter{.name = "list", .type = TSR_INTEGERS, .fallback = "[1, 2]", .low = 0, .high = 9, .doc = "some"},
    Parameter{.name = "text", .type = TSR_TEXT, .choices = "ab|abc", .doc = "a word"}};

constexpr tsr_op witness(const char* name, tsr_function kernel) {
  return Operator{.name = name,
                  .domain = "witness",
                  .doc = "Says what it sees.",
                  .source = "none",
                  .inputs = x,
                  .outputs = y,
                  .attributes = parameters,
                  .flags = TSR_NO_GRADIENT,
                  .shape = guard<one>,
                  .kernel = kernel};
}

constexpr tsr_op ops[] = {witness("Lease", guard<lease>), witness("Attributes", guard<attributes>),
                          Operator{.name = "Ports",
                                   .domain = "witness",
                                   .doc = "Says what it sees.",
                                   .source = "none",
                                   .inputs = several,
                                   .outputs = two,
                                   .flags = TSR_NO_GRADIENT,
                                   .shape = guard<ports_shape>,
                                   .kernel = guard<ports>},
                          Operator{.name = "Pair",
                                   .domain = "witness",
                                   .doc = "Adds inputs of one shape.",
                                   .source = "none",
                                   .inputs = alike,
                                   .outputs = sum,
                                   .flags = TSR_POINTWISE | TSR_NO_GRADIENT,
                                   .shape = guard<pair_shape>,
                                   .kernel = guard<pair>},
                          Operator{.name = "Twice",
                                   .domain = "witness",
                                   .since = 2,
                                   .doc = "Copies, and doubles.",
                                   .source = "none",
                                   .inputs = x,
                                   .outputs = copies,
                                   .shape = guard<twice_shape>,
                                   .kernel = guard<twice>,
                                   .gradient = guard<twice_gradient>}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "host_witness", .version = "1", .doc = "Says what it sees of the host.", .ops = ops};
  return &plugin;
}
