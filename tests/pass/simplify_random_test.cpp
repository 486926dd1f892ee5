// Whatever the graph, the simplified one computes the same bits.
#include <gtest/gtest.h>

#include <random>

#include "runtime/pass/pass.h"
#include "tests/support/graph_notation.h"
#include "tests/support/interpret.h"
#include "tests/support/made_up.h"
#include "tests/support/same_graph.h"
#include "tests/support/small_graph.h"

namespace tessera {
namespace {

// A random graph over [4x6] floats: constants that repeat, casts and reshapes that do nothing, duplicates, shape
// chains, values nobody reads.
class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed) : random_(seed) {
    pool_ = {e_.input("x", {4, 6}), e_.input("z", {4, 6})};
    for (int i = 0; i < 40; ++i) pool_.push_back(step());
    for (int i = 0; i < 3; ++i) e_.output(concat("y", i), pick());
    e_.output("last", pool_.back());
  }
  Graph& graph() { return e_.g; }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }
  ValueId pick() { return pool_[below(pool_.size())]; }
  ValueId filled(double x) {
    const auto s = e_.node("Shape", {pick()});
    return e_.node("ConstantOfShape", {s}, {{"value", Tensor::scalar(DType::f32, x).reshaped({1})}});
  }
  ValueId step() {
    switch (below(9)) {
      case 0:
        return e_.node("Add", {pick(), pick()});
      case 1:
        return e_.node("Relu", {pick()});
      case 2:
        return e_.node("Add", {pick(), e_.constant(below(2) ? "1.5" : "-0.5")});
      case 3:
        return e_.node("Identity", {pick()});
      case 4:
        return e_.node("Cast", {pick()}, {{"to", std::int64_t{1}}});
      case 5:
        return e_.node("Reshape", {e_.node("Reshape", {pick(), e_.build.ints({-1})}), e_.build.ints({4, 6})});
      case 6:
        return e_.node("Transpose", {e_.node("Transpose", {pick()})});
      case 7:
        return filled(static_cast<double>(below(3)));
      default: {
        const auto shape = e_.node("Shape", {pick()});
        const auto first = e_.node("Gather", {shape, e_.build.ints({0})});
        const auto both = e_.node("Concat", {first, e_.build.ints({-1})}, {{"axis", std::int64_t{0}}});
        return e_.node("Reshape", {pick(), both});
      }
    }
  }
  SmallGraph e_;
  std::mt19937 random_;
  std::vector<ValueId> pool_;
};

TEST(Simplify, keeps_every_bit_of_random_graphs) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    RandomGraph random(seed);
    const Graph before = random.graph();
    Graph after = before;
    simplify(after, builtin_registry());
    EXPECT_LE(after.nodes.size(), before.nodes.size());
    const Tensor in[] = {made_up(DType::f32, {4, 6}, seed), made_up(DType::f32, {4, 6}, seed + 1000)};
    const auto expected = interpret(before, in), got = interpret(after, in);
    for (std::size_t o = 0; o < got.size(); ++o)
      ASSERT_TRUE(same_bits(expected[o], got[o])) << "seed " << seed << ": " << notation(before);
    Graph again = after;
    simplify(again, builtin_registry());
    EXPECT_EQ(difference(after, again), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace tessera
