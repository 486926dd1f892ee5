#pragma once
// The one way to write a Reshape to a known shape.
#include "runtime/op/builder.h"

namespace tessera {

// v with the shape `to`, in which 0 means 0: v itself when it has it.
inline ValueId reshaped(NodeBuilder& build, ValueId v, std::span<const std::int64_t> to) {
  const auto has = build.shape(v);
  if (has && *has == Shape(to)) return v;
  return build.node("Reshape", {v, build.ints(to)}, {{"allowzero", std::int64_t{1}}});
}

}  // namespace tessera
