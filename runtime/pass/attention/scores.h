#pragma once
// From a softmax up to the product of queries and keys: scores = softcap(scale * q k) and the masks on top.
#include "runtime/pass/attention/product.h"

namespace tessera {

// One mask, as it was applied to scores of shape `frame`.
struct MaskTerm {
  ValueId value = ValueId::none;
  bool where = false;    // Where(value, scores, number); else scores + number * value
  bool negated = false;  // Where(value, number, scores)
  double number = 1;
  Shape frame{};
};

struct Scores {
  LabelledProduct product;
  double scale = 1, softcap = 0;
  std::vector<MaskTerm> masks{};  // the last applied first; numbers are in units of the softmax's input
};

// Nothing when something stands in between that attention cannot do; `reason` then names the node or value.
std::optional<Scores> scores_of(const Graph& g, const Uses& uses, NodeId softmax, std::string& reason);

// "'a' is also read by node 'n' (Op)", or that it is a graph output, where anything but `reader` reads the value.
std::optional<std::string> other_reader(const Graph& g, const Uses& uses, ValueId v, NodeId reader);

}  // namespace tessera
