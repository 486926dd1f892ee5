#pragma once
// Attention by tiles written down from its definition, in f64: dense attention under a mask, queries that take
// another's output, and a gated coarse term. The yardstick of every method that selects tiles; it knows nothing of
// their kernels.
#include <functional>

#include "runtime/tensor/tensor.h"
#include "tests/support/attention_reference.h"

namespace tessera {

struct SparseCase {
  std::int64_t batch = 1, q_heads = 1, kv_heads = 1, qk_dim = 4, v_dim = 4;
  std::vector<std::int64_t> grid, tile;
  double amplitude = 1;  // of q and k
  bool gated = false;
  unsigned seed = 1;
  std::int64_t tokens() const;
};

class SparseReference {
 public:
  // Random operands, rounded to bf16 so that every element type holds them.
  explicit SparseReference(const SparseCase& c);

  const SparseCase c;
  std::vector<double> q, k, v, gate, dy, dlse;       // [B, H, L, D]
  std::vector<std::int64_t> tile_of;                 // of each token
  std::vector<std::vector<std::int64_t>> tokens_of;  // of each tile, in tiled order

  // For (batch * q_heads + head): sources of tokens (a token, or -1), by default themselves.
  std::vector<std::vector<std::int64_t>> source;
  // For (batch * q_heads + head, query tile): key tiles, ascending.
  std::vector<std::vector<std::vector<std::int64_t>>> chosen;
  // Means of computed queries and of keys: scale * qm . km for each key tile.
  std::vector<double> scores(std::int64_t batch_head, std::int64_t tile) const;
  // Sets `chosen` by a rule on scores; `source` stands.
  void choose(const std::function<std::vector<std::int64_t>(const std::vector<double>&)>& rule);

  std::vector<double> y, lse, density, dq, dk, dv, dgate;
  void forward();
  void backward();

  // [B, H, L, D] as a tensor of that type.
  Tensor tensor(const std::vector<double>& x, std::int64_t heads, std::int64_t dim, DType t) const;
  Tensor selection(std::int64_t width) const;  // as the operators have it

 private:
  std::int64_t tiles() const { return static_cast<std::int64_t>(tokens_of.size()); }
  std::vector<double> means(const std::vector<double>& x, std::int64_t heads, std::int64_t dim) const;
  void spread(std::vector<double>& dx, const std::vector<double>& dmeans, std::int64_t heads, std::int64_t dim) const;
  AttentionReference fine_, coarse_;
};

}  // namespace tessera
