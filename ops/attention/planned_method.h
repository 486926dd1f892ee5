#pragma once
// An attention method made concrete for one shape: parameters resolved, the token grid cut into tiles, everything
// checked that can be without tensors. Shape rules make one to check, prepare hooks keep one in the plan.
// Thread rule: constant once made.
#include <optional>

#include "ops/attention/head_runs.h"
#include "ops/attention/method.h"

namespace tessera {

// Whether the method has a parameter `tile`, which cuts the token grid.
bool cuts_tiles(const AttentionMethod& method);

class PlannedMethod {
 public:
  // grid: tokens along each axis, for methods with a parameter `tile`; empty when there is none. heads: those of the
  // attention that are the heads of `shape`. Errors: bad_input with the reason why the method refuses.
  PlannedMethod(const AttentionMethod& method, const AttentionShape& shape, double scale,
                std::span<const std::int64_t> grid, const Attributes& parameters, const HeadRun& heads = {});
  PlannedMethod(const PlannedMethod&) = delete;

  const AttentionMethod& method;
  const MethodParameters parameters;
  const std::optional<TokenTiles> tiles;  // of queries and of keys: the same tokens
  const MethodCall call;

  bool selects() const { return method.select != nullptr; }
  std::int64_t width() const { return width_; }                // longest list of key tiles; selectors
  std::int64_t largest_tile() const { return largest_tile_; }  // tokens
  Shape selection_shape() const;
  // Pairs (query, key) over all batch entries and heads, as predicted, and as of dense attention.
  double pairs() const;
  double all_pairs() const;
  // Floating-point operations of forward, as predicted.
  double flops(bool gated) const;

 private:
  std::int64_t width_ = 0, largest_tile_ = 0;
};

}  // namespace tessera
