// OpenMP inside a session: the values of Softmax, the same bits for any number of threads, no thread beyond the
// lease's.
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/session/plugin_host.h"
#include "runtime/session/session.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

const std::vector<std::string> plugin{"row_softmax_openmp"};
constexpr std::int64_t rows = 300, row = 257;

Graph model(const char* op) {
  const Registry registry = registry_with(load_plugins(plugin));
  Graph g;
  GraphBuilder b(g, registry);
  b.output("y", b.node(op, {b.input("x", DType::f32, SymbolicShape{{rows, {}}, {row, {}}})}));
  return g;
}

Tensor input() {
  Tensor x(DType::f32, {rows, row});
  std::size_t i = 0;
  for (float& v : x.write<float>()) v = 30 * std::sin(0.37f * static_cast<float>(i++));
  return x;
}

int threads_of_this_process() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "Threads:" && status >> word) return std::stoi(word);
  return 0;
}

TEST(RowSoftmaxOpenMp, is_softmax_with_any_number_of_threads) {
  const Tensor x = input(), expected = Session(model("Softmax"), {}).run({{"x", x}}).at("y");
  Tensor first;
  for (const int threads : {1, 2, 4}) {
    Session session(model("com.example::RowSoftmax"), {.threads = threads, .plugins = plugin});
    const Tensor y = session.run({{"x", x}}).at("y");
    EXPECT_TRUE(close(y, expected));
    if (!first) first = y;
    EXPECT_TRUE(same_bits(y, first)) << threads << " threads";
  }
}

TEST(RowSoftmaxOpenMp, starts_no_more_threads_than_it_is_lent) {
  Session session(model("com.example::RowSoftmax"), {.threads = 2, .plugins = plugin});
  const Tensor x = input();
  Session(model("Softmax"), {.threads = 2}).run({{"x", x}});  // the host's own threads are there
  const int before = threads_of_this_process();
  for (int i = 0; i < 20; ++i) session.run({{"x", x}});
  // One more for each of the two threads that may lead a region.
  EXPECT_LE(threads_of_this_process(), before + 2);
}

}  // namespace
}  // namespace tessera
