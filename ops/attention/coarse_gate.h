#pragma once
// The coarse branch of a method with a gate: attention over the means of tiles, handed to every token of its tile
// through the gate.
//
//   c_i = sum_j softmax_j(scale qm_i . km_j) vm_j over tiles i, j;   y_u += gate_u * c_tile(u)
//
// Each tile counts once, whatever its size. Means, scores and c are held in Compute<T>. Thread rule and determinism as
// in kernel.h. Source: Zhang et al. 2025, arXiv:2505.13389, section 3.1.
#include "ops/attention/block_sparse.h"
#include "ops/attention/selection.h"
#include "runtime/tensor/tensor.h"

namespace tessera {

template <class T>
class CoarseGate {
 public:
  using C = Compute<T>;
  // Takes the means that the selection was made from, where it has them in C.
  CoarseGate(const AttentionShape& shape, double scale, const TokenTiles& tiles, const Selection& selection,
             AttentionView<const T> q, AttentionView<const T> k, AttentionView<const T> v);

  GatedRows<T> gated(AttentionView<const T> gate) const { return {gate, static_cast<const C*>(y_.raw())}; }

  // dgate (if it has data) = dy c. dlse[b][h][u] += sum_c dy gate c, if not null: with it, the fine stage may be
  // differentiated with y of the whole in place of its own result, since delta_u = dy.F - dlse = dy.Y - (dlse +
  // dy.(gate c)), as exactly as y holds F beside the gated rows.
  void backward_of_gate(AttentionView<const T> gate, AttentionView<const T> dy, C* dlse, AttentionView<T> dgate);
  // Adds what reaches q, k and v through the means. After backward_of_gate.
  void backward_of_means(AttentionView<T> dq, AttentionView<T> dk, AttentionView<T> dv);

 private:
  template <class F>
  void for_each_tile(F f) const;  // f(batch, head, tile, row of means)
  Tensor means(std::int64_t heads, std::int64_t dim) const;
  Tensor pooled(AttentionView<const T> x, std::int64_t heads, std::int64_t dim, const Tensor& known) const;

  const AttentionShape shape_, tile_shape_;  // of tokens, of tiles
  const double scale_;
  const TokenTiles& tiles_;
  const Tensor q_, k_, v_, y_;  // means [B][heads][tiles][dim], y_ is c
  Tensor lse_, dy_;
};

}  // namespace tessera
