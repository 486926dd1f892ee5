#pragma once
// Which blocks of keys BSA admits for one block of queries. All rules admit the first `count` blocks in descending
// order of score, equal scores in ascending order of index; they differ in how they count. Source: Song et al. 2025,
// arXiv:2509.01085, section 3 (key-value sparsity).
#include <cstdint>
#include <span>
#include <vector>

namespace tessera::bsa {

enum class BlockRule {
  stat_prob,   // softmax(scores) >= mean + std * U(1 - keep)
  stat_logit,  // scores >= mean + std * U(1 - keep)
  cdf,         // the fewest blocks whose probabilities sum to tau
  topk         // ceil(keep * n)
};

struct BlockLimits {
  BlockRule rule = BlockRule::stat_prob;
  double keep = 0.1, tau = 0.9;
  std::int64_t least = 1, most = 0;  // most = 0: all
};

// Quantile of the standard normal distribution, 0 <= p <= 1: U(0) = -inf, U(1) = inf.
double normal_quantile(double p);

// How many of n blocks are admitted at most, and how many a rule with a share aims at.
std::int64_t most_admitted(const BlockLimits& limits, std::int64_t n);
std::int64_t aimed_at(const BlockLimits& limits, std::int64_t n);

// Indices in no order; at least one. Standard deviations are of the population.
std::vector<std::int32_t> admitted_blocks(const BlockLimits& limits, std::span<const float> scores);

}  // namespace tessera::bsa
