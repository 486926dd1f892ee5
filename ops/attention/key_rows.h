#pragma once
// Rows of K and V where they lie.
#include "ops/attention/tile_kernels.h"

namespace tessera::attention {

// K and V of `heads` kv heads that lie `head_step` elements apart; key j is at place j, or at list[j].
template <class T>
struct KeyRows {
  Rows<const T> k, v;
  std::int64_t qk_dim, v_dim;
  std::int64_t heads = 1, k_head_step = 0, v_head_step = 0;
  const std::int32_t* list = nullptr;

  std::int64_t place(std::int64_t j) const { return list != nullptr ? list[j] : j; }
  const T* k_row(std::int64_t head, std::int64_t j) const { return k.row(place(j)) + head * k_head_step; }
  const T* v_row(std::int64_t head, std::int64_t j) const { return v.row(place(j)) + head * v_head_step; }
  // Elements from the first one of a row to the last one of its last head.
  std::int64_t k_width() const { return (heads - 1) * k_head_step + qk_dim; }
  std::int64_t v_width() const { return (heads - 1) * v_head_step + v_dim; }
  // Whether something lies between rows.
  bool apart() const { return list != nullptr || k.stride != k_width() || v.stride != v_width(); }
};

}  // namespace tessera::attention
