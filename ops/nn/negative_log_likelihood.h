#pragma once
// The loss that NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss share, as ordinary nodes.
#include "runtime/op/context.h"

namespace tessera {

// The loss of log_p [N x C x d1...] in nodes: targets and class weights are inputs 1 and 2 of `c`, `ignore_index` and
// `reduction` its attributes. Errors: bad_input for shapes that do not fit, where they are known.
ValueId negative_log_likelihood(RewriteContext& c, ValueId log_p);

}  // namespace tessera
