// Plugins and threads: loading at once, sessions that share one, the lease of threads.
#include <gtest/gtest.h>

#include <thread>

#include "runtime/graph/build.h"
#include "runtime/session/plugin_host.h"
#include "runtime/session/session.h"

namespace tessera {
namespace {

const std::vector<std::string> witness{TESSERA_TEST_PLUGINS "/host_witness.so"};

TEST(PluginThreads, load_one_plugin_once) {
  std::vector<const Plugin*> seen(8);
  std::vector<std::thread> threads;
  for (auto& plugin : seen) threads.emplace_back([&plugin] { plugin = &load_plugin(witness[0]); });
  for (auto& t : threads) t.join();
  for (const Plugin* plugin : seen) EXPECT_EQ(plugin, seen[0]);
}

// Independent nodes that each take a lease and report what they see.
Graph leases(int nodes) {
  const Registry registry = registry_with(load_plugins(witness));
  Graph g;
  GraphBuilder b(g, registry);
  // Large enough for the planner to give every node a task of its own.
  const ValueId x = b.input("x", DType::f32, SymbolicShape{{1 << 18, {}}});
  for (int i = 0; i < nodes; ++i) b.output(concat("y", i), b.node("witness::Lease", {b.node("Relu", {x})}));
  return g;
}

void expect_exclusive(const NamedTensors& outputs, int threads) {
  for (const auto& [name, y] : outputs) {
    const auto seen = y.read<float>();
    EXPECT_EQ(seen[0], static_cast<float>(threads)) << "threads lent";
    if (threads > 1) {
      EXPECT_EQ(seen[1], 1) << "leases held at once";
    }
    EXPECT_EQ(seen[2], 0) << "chunks of the host's loop on other threads";
    EXPECT_EQ(seen[3], 1) << "a second lease gave the same";
  }
}

TEST(PluginThreads, a_lease_is_all_threads_of_the_session_for_one_kernel_at_a_time) {
  const Graph g = leases(6);
  const NamedTensors inputs{{"x", Tensor::zeros(DType::f32, {1 << 18})}};
  for (const int threads : {1, 2, 4}) {
    Session session(g, {.threads = threads, .plugins = witness});
    for (int i = 0; i < 3; ++i) expect_exclusive(session.run(inputs), threads);
  }
}

TEST(PluginThreads, leases_of_several_sessions_wait_for_each_other) {
  const Graph g = leases(3);
  const NamedTensors inputs{{"x", Tensor::zeros(DType::f32, {1 << 18})}};
  Session a(g, {.threads = 2, .plugins = witness}), b(g, {.threads = 3, .plugins = witness});
  std::thread other([&] {
    for (int i = 0; i < 5; ++i) expect_exclusive(b.run(inputs), 3);
  });
  for (int i = 0; i < 5; ++i) expect_exclusive(a.run(inputs), 2);
  other.join();
}

}  // namespace
}  // namespace tessera
