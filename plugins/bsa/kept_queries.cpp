#include "kept_queries.h"

#include <algorithm>
#include <cmath>
#include <tessera/choose.hpp>

namespace tessera::bsa {
namespace {

float dot(const float* a, const float* b, std::int64_t n) {
  constexpr std::int64_t lanes = 16;
  float sums[lanes]{};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::int64_t l = 0; l < lanes; ++l) sums[l] += a[i + l] * b[i + l];
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  float sum = 0;
  for (const float s : sums) sum += s;
  return sum;
}

float length(const float* a, std::int64_t n) { return std::sqrt(dot(a, a, n)); }

// Cosine of the angle between a and b; b_length = length(b). 0 where one of them is zero.
float cosine(const float* a, const float* b, float b_length, std::int64_t n) {
  const float lengths = length(a, n) * b_length;
  return lengths == 0 ? 0 : dot(a, b, n) / lengths;
}

// One window: its tokens, as places in the tile in ascending order, and the place of its center (-1: the mean).
struct Window {
  std::vector<std::int32_t> tokens;
  std::int32_t center = -1;
};

class Tile {
 public:
  Tile(const QueryRule& rule, std::span<const std::int64_t> extents, const float* queries, std::int64_t dim)
      : rule_(rule), extents_(extents), queries_(queries), dim_(dim) {}

  template <class F>
  void for_each_window(F f) const {
    std::vector<std::int64_t> at(extents_.size(), 0);
    for (std::size_t axis = 0; axis < at.size();) {
      f(window(at));
      for (axis = 0; axis < at.size(); at[axis++] = 0)
        if ((at[axis] += rule_.window[axis]) < extents_[axis]) break;
    }
  }

  void choose(const Window& w, std::span<std::int32_t> source) const;

 private:
  const float* query(std::int32_t token) const { return queries_ + token * dim_; }
  Window window(std::span<const std::int64_t> begin) const;
  std::vector<float> center_of(const Window& w) const;

  const QueryRule& rule_;
  const std::span<const std::int64_t> extents_;
  const float* queries_;
  const std::int64_t dim_;
};

Window Tile::window(std::span<const std::int64_t> begin) const {
  Window w;
  const std::size_t axes = extents_.size();
  std::vector<std::int64_t> size(axes), middle(axes);
  std::int64_t count = 1, center = 0, slot = rule_.center_slot;
  for (std::size_t a = axes; a-- > 0;) {
    size[a] = std::min(rule_.window[a], extents_[a] - begin[a]);
    middle[a] = std::min(slot < 0 ? rule_.window[a] / 2 : slot % rule_.window[a], size[a] - 1);
    if (slot >= 0) slot /= rule_.window[a];
    count *= size[a];
  }
  for (std::size_t a = 0; a < axes; ++a) center = center * size[a] + middle[a];
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i, place = 0, stride = 1;
    for (std::size_t a = axes; a-- > 0; stride *= extents_[a]) {
      place += (begin[a] + rest % size[a]) * stride;
      rest /= size[a];
    }
    w.tokens.push_back(static_cast<std::int32_t>(place));
  }
  if (!rule_.mean_center) w.center = w.tokens[static_cast<std::size_t>(center)];
  return w;
}

std::vector<float> Tile::center_of(const Window& w) const {
  if (w.center >= 0) return {query(w.center), query(w.center) + dim_};
  std::vector<float> mean(static_cast<std::size_t>(dim_));
  for (const auto token : w.tokens)
    for (std::size_t d = 0; d < mean.size(); ++d) mean[d] += query(token)[d];
  for (float& x : mean) x /= static_cast<float>(w.tokens.size());
  return mean;
}

void Tile::choose(const Window& w, std::span<std::int32_t> source) const {
  const auto size = static_cast<std::int64_t>(w.tokens.size());
  const std::int64_t kept = plugin::share_of(rule_.keep, size);
  const auto at = [&](std::int32_t i) { return w.tokens[static_cast<std::size_t>(i)]; };
  const auto place_of = [&](std::int32_t token) -> std::int32_t& { return source[static_cast<std::size_t>(token)]; };
  for (const auto token : w.tokens) place_of(token) = -1;
  if (kept == size) {
    for (const auto token : w.tokens) place_of(token) = token;
    return;
  }

  const auto center = center_of(w);
  const float center_length = length(center.data(), dim_);
  std::vector<float> likeness(w.tokens.size()), unlikeness(w.tokens.size());
  for (std::size_t i = 0; i < likeness.size(); ++i) {
    likeness[i] = cosine(query(w.tokens[i]), center.data(), center_length, dim_);
    unlikeness[i] = rule_.force_center && w.tokens[i] == w.center ? INFINITY : -likeness[i];
  }
  auto keep = plugin::largest(unlikeness, kept);
  std::sort(keep.begin(), keep.end());
  for (const auto i : keep) place_of(at(i)) = at(i);
  if (rule_.fill == Fill::zero) return;

  // The kept token with the largest value, the first of equals.
  const auto best = [&](auto value) {
    std::int32_t chosen = keep[0];
    for (const auto i : keep)
      if (value(i) > value(chosen)) chosen = i;
    return at(chosen);
  };
  const std::int32_t representative = w.center >= 0 && place_of(w.center) == w.center
                                          ? w.center
                                          : best([&](std::int32_t i) { return likeness[static_cast<std::size_t>(i)]; });
  for (const auto token : w.tokens) {
    if (place_of(token) >= 0) continue;
    if (rule_.fill == Fill::center) place_of(token) = representative;
    if (rule_.fill == Fill::nearest_flat)
      place_of(token) = best([&](std::int32_t i) { return -std::abs(at(i) - token); });
    if (rule_.fill == Fill::nearest_cos)  // the length of this token changes no order
      place_of(token) = best([&](std::int32_t i) { return cosine(query(at(i)), query(token), 1, dim_); });
  }
}

}  // namespace

void keep_queries(const QueryRule& rule, std::span<const std::int64_t> extents, const float* queries, std::int64_t dim,
                  std::span<std::int32_t> source) {
  const Tile tile(rule, extents, queries, dim);
  tile.for_each_window([&](const Window& w) { tile.choose(w, source); });
}

}  // namespace tessera::bsa
