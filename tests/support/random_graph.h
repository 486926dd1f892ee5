#pragma once
// Random graphs for tests of planning and execution: vectors and matrices of a few sizes, operators that run in place,
// views, several readers, several outputs of one node, values nobody reads, and graph outputs of every awkward kind.
#include <random>

#include "tests/support/small_graph.h"

namespace tessera {

struct RandomGraphOptions {
  int nodes = 40;
  std::int64_t length = 64;  // of the shortest vector; the longest is 4 times as long
  int inputs = 2, outputs = 4;
};

class RandomGraph {
 public:
  RandomGraph(unsigned seed, const RandomGraphOptions& options = {});
  Graph& graph() { return small_.g; }
  // One tensor per input, of small integers so that sums are exact.
  std::vector<Tensor> inputs();

 private:
  std::size_t below(std::size_t n) { return random_() % n; }
  ValueId pick();        // mostly a recent one
  ValueId all_unread();  // one element of each value that nobody reads yet
  const Shape& shape(ValueId v) { return *small_.g.at(v).shape; }
  std::int64_t size(ValueId v) { return count(shape(v)); }
  ValueId same_size(ValueId v);  // another value with the shape of v, if one is found
  void step();

  RandomGraphOptions options_;
  std::mt19937 random_;
  SmallGraph small_;
  std::vector<ValueId> pool_;
};

}  // namespace tessera
