#include "kept_queries.h"

#include <algorithm>
#include <cmath>
#include <tessera/choose.hpp>

namespace tessera::bsa {
namespace {

// a . b and a . a
std::pair<float, float> products(const float* a, const float* b, std::int64_t n) {
  float ab = 0, aa = 0;
#pragma omp simd reduction(+ : ab, aa)
  for (std::int64_t i = 0; i < n; ++i) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
  }
  return {ab, aa};
}

// Cosine of the angle between a and b; b_length that of b. 0 where one of them is zero or only b is not finite; NaN
// where a is not.
float cosine(const float* a, const float* b, float b_length, std::int64_t n) {
  const auto [ab, aa] = products(a, b, n);
  if (!std::isfinite(aa)) return NAN;
  const float lengths = std::sqrt(aa) * b_length, quotient = ab / lengths;
  return lengths == 0 || std::isnan(quotient) ? 0 : quotient;
}

class Tile {
 public:
  Tile(const QueryRule& rule, std::span<const std::int64_t> extents, const float* queries, std::int64_t dim)
      : rule_(rule), extents_(extents), queries_(queries), dim_(dim) {}

  void choose(std::span<std::int32_t> source) {
    std::vector<std::int64_t> begin(extents_.size(), 0);
    for (std::size_t axis = 0; axis < begin.size();) {
      take_window(begin);
      choose_in_window(source);
      for (axis = 0; axis < begin.size(); begin[axis++] = 0)
        if ((begin[axis] += rule_.window[axis]) < extents_[axis]) break;
    }
  }

 private:
  const float* query(std::int32_t token) const { return queries_ + token * dim_; }
  void take_window(std::span<const std::int64_t> begin);
  void choose_in_window(std::span<std::int32_t> source);
  const float* center();

  const QueryRule& rule_;
  const std::span<const std::int64_t> extents_;
  const float* queries_;
  const std::int64_t dim_;
  // The window at hand: its tokens, as places in the tile in ascending order, and the place of its center (-1: the
  // mean).
  std::vector<std::int32_t> tokens_;
  std::int32_t center_ = -1;
  std::vector<float> mean_, likeness_, unlikeness_;
};

void Tile::take_window(std::span<const std::int64_t> begin) {
  std::int64_t slot = rule_.center_slot, center = 0, stride = 1;
  for (std::size_t a = begin.size(); a-- > 0; stride *= extents_[a]) {
    const std::int64_t whole = rule_.window[a], size = std::min(whole, extents_[a] - begin[a]);
    center += (begin[a] + std::min(slot < 0 ? whole / 2 : slot % whole, size - 1)) * stride;
    if (slot >= 0) slot /= whole;
  }
  center_ = rule_.mean_center ? -1 : static_cast<std::int32_t>(center);
  // Axis by axis, each place becomes a row of places.
  tokens_.assign(1, 0);
  for (std::size_t a = 0; a < begin.size(); ++a) {
    const auto size = static_cast<std::size_t>(std::min(rule_.window[a], extents_[a] - begin[a]));
    const std::size_t rows = tokens_.size();
    tokens_.resize(rows * size);
    for (std::size_t row = rows; row-- > 0;) {
      const auto first = static_cast<std::int32_t>(tokens_[row] * extents_[a] + begin[a]);
      for (std::size_t i = 0; i < size; ++i) tokens_[row * size + i] = first + static_cast<std::int32_t>(i);
    }
  }
}

const float* Tile::center() {
  if (center_ >= 0) return query(center_);
  mean_.assign(static_cast<std::size_t>(dim_), 0);
  for (const auto token : tokens_)
    for (std::size_t d = 0; d < mean_.size(); ++d) mean_[d] += query(token)[d];
  for (float& x : mean_) x /= static_cast<float>(tokens_.size());
  return mean_.data();
}

void Tile::choose_in_window(std::span<std::int32_t> source) {
  const auto size = static_cast<std::int64_t>(tokens_.size());
  const std::int64_t kept = plugin::share_of(rule_.keep, size);
  const auto at = [&](std::int32_t i) { return tokens_[static_cast<std::size_t>(i)]; };
  const auto place_of = [&](std::int32_t token) -> std::int32_t& { return source[static_cast<std::size_t>(token)]; };
  for (const auto token : tokens_) place_of(token) = kept == size ? token : -1;
  if (kept == size) return;

  const float* const middle = center();
  const float length = std::sqrt(products(middle, middle, dim_).second);
  likeness_.resize(tokens_.size());
  unlikeness_.resize(tokens_.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    likeness_[i] = cosine(query(tokens_[i]), middle, length, dim_);
    const bool forced = rule_.force_center && tokens_[i] == center_;
    unlikeness_[i] = forced && !std::isnan(likeness_[i]) ? INFINITY : -likeness_[i];  // NaN ranks above all
  }
  auto keep = plugin::largest(unlikeness_, kept);
  std::sort(keep.begin(), keep.end());
  for (const auto i : keep) place_of(at(i)) = at(i);
  if (rule_.fill == Fill::zero) return;

  // The kept token with the largest value, the first of equals; one without a value only where none has one.
  const auto best = [&](auto value) {
    std::int32_t chosen = keep[0];
    for (const auto i : keep)
      if (value(i) > value(chosen) || std::isnan(value(chosen))) chosen = i;
    return at(chosen);
  };
  const std::int32_t representative =
      center_ >= 0 && place_of(center_) == center_
          ? center_
          : best([&](std::int32_t i) { return likeness_[static_cast<std::size_t>(i)]; });
  for (const auto token : tokens_) {
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
  Tile(rule, extents, queries, dim).choose(source);
}

}  // namespace tessera::bsa
