#pragma once
// The choices of a selector in one call: which queries are computed, and which key tiles each query tile attends to.
// Always made in f32 from the operands, whatever their type. Not differentiated.
#include "ops/attention/planned_method.h"
#include "runtime/tensor/tensor.h"

namespace tessera {

struct Selection {
  BlockLists lists;
  std::vector<std::int32_t> source;  // as BlockSparse::source; empty: every query is computed
  Tensor q_means, k_means;           // of the tiles, f32 [B][heads][tiles][qk_dim]; none where the choice was read
  const std::int32_t* sources() const { return source.empty() ? nullptr : source.data(); }
};

// Asks the method. Memory: the lists, and f32 means of the tiles of q and k. Errors: plugin when the method breaks its
// contract.
template <class T>
Selection select(const PlannedMethod& planned, AttentionView<const T> q, AttentionView<const T> k);

// As the operators' output and input `selection` (method.h). Errors of reading: bad_input.
void write_selection(const PlannedMethod& planned, const Selection& selection, std::span<std::int32_t> out);
Selection read_selection(const PlannedMethod& planned, std::span<const std::int32_t> in);

}  // namespace tessera
