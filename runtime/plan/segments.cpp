#include "runtime/plan/segments.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace tessera {
namespace {

constexpr std::size_t most_bytes = std::size_t{1} << 62;  // of all segments but one
constexpr std::size_t free_segments_tried = 512;  // the most recently freed; keeps planning linear in very wide graphs

void unite(Segments::Users& into, const Segments::Users& from) {
  Segments::Users both;
  std::set_union(into.begin(), into.end(), from.begin(), from.end(), std::back_inserter(both));
  into = std::move(both);
}

}  // namespace

std::int32_t Segments::append(std::size_t bytes) {
  check(end_ <= most_bytes, Code::run_time, "out of memory: the values of the graph take more than can be addressed");
  std::int32_t s = static_cast<std::int32_t>(segments_.size());
  if (spare_.empty()) {
    segments_.emplace_back();
  } else {
    s = spare_.back();
    spare_.pop_back();
    at(s) = {};
  }
  at(s).offset = end_;
  at(s).bytes = bytes;
  at(s).left = last_;
  if (last_ >= 0) at(last_).right = s;
  last_ = s;
  end_ += bytes;
  return s;
}

void Segments::set_free(std::int32_t s, Users users) {
  at(s).free = true;
  at(s).users = std::move(users);
  at(s).place_in_free = static_cast<std::int32_t>(free_.size());
  free_.push_back(s);
}

void Segments::set_used(std::int32_t s) {
  const auto place = static_cast<std::size_t>(at(s).place_in_free);
  free_[place] = free_.back();
  at(free_[place]).place_in_free = static_cast<std::int32_t>(place);
  free_.pop_back();
  at(s).free = false;
  at(s).users.clear();
}

void Segments::absorb_right(std::int32_t s) {
  const std::int32_t gone = at(s).right;
  at(s).bytes += at(gone).bytes;
  at(s).right = at(gone).right;
  if (at(s).right >= 0) at(at(s).right).left = s;
  if (last_ == gone) last_ = s;
  spare_.push_back(gone);
}

// Joins segments from `first` on until they hold `bytes`; what is left over stays free with its users.
Segments::Placed Segments::take(std::int32_t first, std::size_t bytes) {
  Users former = at(first).users;
  set_used(first);
  while (at(first).bytes < bytes) {
    const std::int32_t right = at(first).right;
    unite(former, at(right).users);
    const std::size_t wanted = bytes - at(first).bytes;
    if (at(right).bytes > wanted) {  // the left part of it
      at(right).offset += wanted;
      at(right).bytes -= wanted;
      at(first).bytes = bytes;
      return {first, at(first).offset, std::move(former)};
    }
    set_used(right);
    absorb_right(first);
  }
  if (at(first).bytes > bytes) {
    const std::int32_t rest = spare_.empty() ? static_cast<std::int32_t>(segments_.size()) : spare_.back();
    if (spare_.empty())
      segments_.emplace_back();
    else
      spare_.pop_back();
    Segment& s = at(rest);
    s = {};
    s.offset = at(first).offset + bytes;
    s.bytes = at(first).bytes - bytes;
    s.left = first;
    s.right = at(first).right;
    if (s.right >= 0) at(s.right).left = rest;
    at(first).right = rest;
    at(first).bytes = bytes;
    if (last_ == first) last_ = rest;
    set_free(rest, former);
  }
  return {first, at(first).offset, std::move(former)};
}

std::optional<Segments::Placed> Segments::reuse(std::size_t bytes, const Usable& usable) {
  std::int32_t best = -1;
  std::size_t best_bytes = 0;
  const std::size_t stop = free_.size() > free_segments_tried ? free_.size() - free_segments_tried : 0;
  for (std::size_t i = free_.size(); i-- > stop;) {
    std::size_t run = 0;
    for (std::int32_t s = free_[i]; s >= 0 && at(s).free && run < bytes && usable(at(s).users); s = at(s).right)
      run += at(s).bytes;
    if (run < bytes || (best >= 0 && run >= best_bytes)) continue;
    best = free_[i];
    best_bytes = run;
    if (run == bytes) break;
  }
  if (best < 0) return std::nullopt;
  return take(best, bytes);
}

Segments::Placed Segments::grow(std::size_t bytes, const Usable& usable) {
  if (auto placed = reuse(bytes, usable)) return std::move(*placed);
  std::int32_t first = -1;
  std::size_t run = 0;
  for (std::int32_t s = last_; s >= 0 && at(s).free && usable(at(s).users); s = at(s).left) {
    first = s;
    run += at(s).bytes;
  }
  if (first < 0) {
    const std::int32_t s = append(bytes);
    return {s, at(s).offset, {}};
  }
  // The run may hold it already: `reuse` sees only what was freed lately.
  if (run < bytes) set_free(append(bytes - run), {});
  return take(first, bytes);
}

void Segments::release(std::int32_t s, Users users) {
  std::sort(users.begin(), users.end());
  for (const std::int32_t side : {at(s).right, at(s).left}) {
    if (side < 0 || !at(side).free || at(side).users != users) continue;
    set_used(side);
    if (side == at(s).right) {
      absorb_right(s);
    } else {
      absorb_right(side);
      s = side;
    }
  }
  set_free(s, std::move(users));
}

}  // namespace tessera
