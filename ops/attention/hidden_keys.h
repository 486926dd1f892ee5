#pragma once
// What keys behind a mask still do. In ONNX Attention: nothing. In a graph that wrote attention as MatMul, Where,
// Softmax, MatMul they may leave traces, and rewriting such a graph must not change its answers:
//
//   undefined_rows  a query without keys gives zeros, NaN, or zeros even for NaN scores (a guard behind the softmax)
//   hidden_values   "multiply": 0 * v reaches the row, so NaN and infinity in V behind the mask are seen
//   hidden_score    a finite number filled in where the mask hides: such a key weighs e^hidden_score, which shows in
//                   rows whose visible scores are not far above it, first of all in rows that see no key
//
// All are repairs of the rows that attention_forward wrote, by way of its lse; without a trace they cost one look at
// each row's lse, or at V. Same bits for any number of threads.
#include "ops/attention/geometry.h"

namespace tessera {

template <class T>
class HiddenKeys {
 public:
  using C = Compute<T>;
  // Borrows both.
  HiddenKeys(const AttentionGeometry& geometry, const AttentionMask<T>& mask) : g_(geometry), mask_(mask) {}
  bool needs_lse() const { return has_score() || g_.undefined_rows != UndefinedRows::zero; }
  // After attention_forward. v: all keys; lse: forward's, of the visible keys; may be null unless it is needed.
  void finish(AttentionView<const T> v, AttentionView<T> y, const C* lse) const;
  // Before attention_backward: dy as visible keys see it, smaller by what hidden ones weigh; in `copy` if it differs.
  AttentionView<const T> visible_gradient(const C* lse, AttentionView<const T> dy, Tensor& copy) const;
  // After attention_backward: what hidden keys with a score add to dV, from the same lse and the whole dy.
  void add_gradients(const C* lse, AttentionView<const T> dy, AttentionView<T> dv) const;

 private:
  bool hides_any() const { return mask_.bias || mask_.keep || mask_.causal || mask_.kv_lengths; }
  bool has_score() const { return g_.hidden_score > -INFINITY && (mask_.keep || mask_.causal); }
  // What all visible keys of a query, and each of its `hidden` hidden ones, weigh together; they add up to 1.
  struct Weights {
    C visible, hidden;
  };
  Weights weights(C lse, std::int64_t hidden) const;
  bool hides(std::int64_t batch, std::int64_t head, std::int64_t query, std::int64_t key) const;
  // Whether hidden keys weigh anything beside visible ones of this lse.
  bool shows(C lse) const;
  std::int64_t valid(std::int64_t batch) const { return mask_.kv_lengths ? mask_.kv_lengths[batch] : g_.shape.kv_len; }
  template <class F>
  void for_each_hidden(std::int64_t batch, std::int64_t head, std::int64_t query, F f) const;
  std::int64_t hidden_keys(std::int64_t batch, std::int64_t head, std::int64_t query) const;
  void add_score(AttentionView<const T> v, AttentionView<T> y, const C* lse) const;
  void mark_rows(AttentionView<T> y, const C* lse) const;
  void multiply(AttentionView<const T> v, AttentionView<T> y, const C* lse) const;

  const AttentionGeometry& g_;
  const AttentionMask<T>& mask_;
};

// density[batch][q_heads]: the share of all pairs (query, key) that causality, lengths and a boolean mask leave; a bias
// hides nothing here. 1 where there are no pairs.
template <class T>
void write_density(const AttentionShape& shape, const AttentionMask<T>& mask, float* density);

}  // namespace tessera
