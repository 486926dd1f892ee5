#pragma once
// How operators broadcast before opset 7: only where `broadcast` said so, and from an axis of the first operand on.
#include "runtime/op/context.h"

namespace tessera {

// v, whose axes are those of `of` from `axis` on, with axes of size 1 behind them: it then broadcasts to `of` as
// everywhere else.
ValueId along_axis(NodeBuilder& b, ValueId v, ValueId of, std::int64_t axis);

// An adaptation to opset 7 of operators of two operands: attributes `broadcast` and `axis`; without the latter the
// operands' last axes meet, as they do today.
void broadcast_from_axis(RewriteContext& c);

}  // namespace tessera
