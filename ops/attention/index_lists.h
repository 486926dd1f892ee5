#pragma once
// Attention of groups of queries to lists of single keys, forward and backward: for methods that select tokens.
// Everything not said here is as in block_sparse.h.
#include <vector>

#include "ops/attention/kernel.h"

namespace tessera {

// Queries [g * rows, (g + 1) * rows) of (batch, head) share list (batch * q_heads + head) * groups + g, which holds
// keys key[begin[list]] ... key[begin[list + 1] - 1], ascending, each at most once. rows = 1: a list per query;
// rows = q_len: one per head.
struct IndexLists {
  std::int64_t rows = 1, groups = 0;
  std::vector<std::int64_t> begin;
  std::vector<std::int32_t> key;
};

template <class T>
void index_list_forward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                        AttentionView<const T> v, double scale, const IndexLists& lists, AttentionView<T> y,
                        Compute<T>* lse);

template <class T>
void index_list_backward(const AttentionShape& shape, AttentionView<const T> q, AttentionView<const T> k,
                         AttentionView<const T> v, double scale, const IndexLists& lists, AttentionView<const T> y,
                         const Compute<T>* lse, AttentionView<const T> dy, const Compute<T>* dlse,
                         const AttentionGradients<T>& gradients);

// (y, lse) becomes the attention over the keys of both parts, which must be disjoint:
//   lse' = log(e^lse + e^other_lse),  y' = e^(lse - lse') y + e^(other_lse - lse') other.  Empty parts (-inf) are fine.
template <class T>
void merge_by_lse(const AttentionShape& shape, AttentionView<T> y, Compute<T>* lse, AttentionView<const T> other,
                  const Compute<T>* other_lse);

}  // namespace tessera
