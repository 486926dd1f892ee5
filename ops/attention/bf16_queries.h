#pragma once
// A tile of bf16 queries that meets tiles of keys one after the other, with bf16 operands in both products: K is read
// where it lies, V is interleaved, the probabilities of a tile, counted from the running maximum, are rounded to bf16.
// Scores, softmax, its sums and lse stay in f32. Only where simd::multiplies_pairs().
#include "ops/attention/bf16_kernels.h"
#include "ops/attention/online_softmax.h"
#include "runtime/op/scratch.h"

namespace tessera::attention {

class Bf16Queries {
 public:
  static constexpr int lanes = kBlockLanes<float>;

  int blocks;
  std::int64_t any_limit = 0;  // no key from here on is causally visible
  QueryBlock<bf16> block[kMostBlocks<float>];
  OnlineSoftmax<float> state[kMostBlocks<float>];

  // Rows [first_row, first_row + count) of a row set, count <= kMostQueries.
  Bf16Queries(const Problem<bf16>& problem, std::int64_t batch, std::int64_t set, std::int64_t first_row, int count);

  // Takes in keys [key0, key0 + count), count <= kTileKeys.
  void add(std::int64_t key0, int count);

 private:
  const Problem<bf16>& problem_;
  std::int64_t batch_, head_, dim_, v_dim_;  // dim_: qk_dim, filled up to pairs
  Scratch<float> sums_;                      // accumulators of the blocks, scores, biases
  Scratch<bf16> pairs_;                      // panels of the blocks, probabilities, values, keys of an odd dim
};

}  // namespace tessera::attention
