#pragma once
// What the Skip...Normalization operators begin with.
#include "runtime/op/context.h"

namespace tessera {

// input + bias + skip. The bias first: input is as a rule a product, which then takes it in.
inline ValueId skip_sum(RewriteContext& c, int bias) {
  const ValueId x = c.has(bias) ? c.build.node("Add", {c.in[0], c.in[static_cast<std::size_t>(bias)]}) : c.in[0];
  return c.build.node("Add", {x, c.in[1]});
}

}  // namespace tessera
