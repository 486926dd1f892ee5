#pragma once
// Rows of K and V where they lie, read in groups: kGroupKeys rows of K, then as many of V.
#include <algorithm>

#include "ops/attention/tile_kernels.h"

namespace tessera::attention {

inline constexpr int kGroupKeys = 16;

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
};

// Asks for cache lines of keys [begin, end), rows whole and in their order, a distance ahead of those at work: what
// memory delivers at its full pace, and no calculation waits for it. Only hints.
template <class T>
class LinesAhead {
 public:
  // From now on keys [begin, end) are at work.
  void begin(const KeyRows<T>& keys, std::int64_t begin, std::int64_t end) {
    keys_ = &keys, end_ = end, group_ = begin, in_v_ = false, at_ = width_ = due_ = 0;
    const auto bytes = std::max(keys.k_width(), keys.v_width()) * static_cast<std::int64_t>(sizeof(T));
    key_ = begin + std::max<std::int64_t>(kBytes / std::max<std::int64_t>(bytes, 1), 4);
    key_ = std::min({key_, begin + kGroupKeys, end});
  }
  // So many rows of `dim` elements are at work next.
  void use(std::int64_t rows, std::int64_t dim) { due_ += rows * ((dim + kLine<T> - 1) / kLine<T>); }
  // Asks for a few of the lines that are due. One by one is measurably better than all at a time.
  void step() {
    for (int u = 0; u < 4 && due_ > 0; ++u, --due_, at_ += kLine<T>) {
      while (at_ >= width_) {
        if (key_ == std::min(group_ + kGroupKeys, end_)) {
          if (in_v_) group_ += kGroupKeys;
          if (group_ >= end_) return;
          in_v_ = !in_v_;
          key_ = group_;
        }
        row_ = in_v_ ? keys_->v_row(0, key_) : keys_->k_row(0, key_);
        width_ = in_v_ ? keys_->v_width() : keys_->k_width();
        at_ = 0;
        ++key_;
      }
      __builtin_prefetch(row_ + at_);
    }
  }

 private:
  static constexpr std::int64_t kBytes = 8192;

  const KeyRows<T>* keys_;
  std::int64_t end_, group_, key_;  // key_ of the group comes next, in K or V
  bool in_v_;
  const T* row_;  // its elements from at_ to width_ come before that
  std::int64_t at_, width_, due_;
};

}  // namespace tessera::attention
