#include "runtime/plan/ancestors.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr std::size_t entries_allowed = std::size_t{4} << 20;  // of reach_: 16 MiB
constexpr std::size_t chains_allowed_always = 64;

}  // namespace

Ancestors::Ancestors(std::size_t steps)
    : chain_limit_(std::max(chains_allowed_always, entries_allowed / std::max<std::size_t>(steps, 1))) {
  position_.reserve(steps);
  reach_.reserve(steps);
}

void Ancestors::merge(std::int32_t earlier) {
  auto& mine = reach_.back();
  const auto& theirs = reach_[static_cast<std::size_t>(earlier)];
  if (mine.size() < theirs.size()) mine.resize(theirs.size(), -1);
  for (std::size_t c = 0; c < theirs.size(); ++c) mine[c] = std::max(mine[c], theirs[c]);
  const Position at = position_[static_cast<std::size_t>(earlier)];
  if (at.chain < 0) return;
  const auto c = static_cast<std::size_t>(at.chain);
  if (mine.size() <= c) mine.resize(c + 1, -1);
  mine[c] = std::max(mine[c], at.index);
}

void Ancestors::add(std::span<const std::int32_t> waits_for) {
  reach_.emplace_back();
  position_.emplace_back();
  for (const auto p : waits_for) merge(p);
  // Extend a chain whose last member is an ancestor; a direct predecessor's first.
  const auto& mine = reach_.back();
  std::int32_t chain = -1;
  for (const auto p : waits_for) {
    const Position at = position_[static_cast<std::size_t>(p)];
    if (at.chain >= 0 && tails_[static_cast<std::size_t>(at.chain)] == at.index) chain = at.chain;
  }
  for (std::size_t c = 0; c < mine.size() && chain < 0; ++c)
    if (mine[c] >= 0 && mine[c] == tails_[c]) chain = static_cast<std::int32_t>(c);
  if (chain < 0) {
    if (tails_.size() == chain_limit_) return;
    chain = chains();
    tails_.push_back(-1);
  }
  position_.back() = {chain, ++tails_[static_cast<std::size_t>(chain)]};
}

void Ancestors::join(std::int32_t earlier) { merge(earlier); }

bool Ancestors::before(std::int32_t u, std::int32_t v) const {
  if (u == v) return true;
  const Position at = position_[static_cast<std::size_t>(u)];
  if (at.chain < 0) return false;
  const auto& reach = reach_[static_cast<std::size_t>(v)];
  const auto c = static_cast<std::size_t>(at.chain);
  return c < reach.size() && reach[c] >= at.index;
}

}  // namespace tessera
