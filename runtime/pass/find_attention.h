#pragma once
// Finds every scaled-dot-product attention of a graph, whatever form its exporter gave it, and writes each as one node
// tessera.attention::dense that reads its operands where they lie.
//
// Not templates: from each Softmax the pass climbs through scalings, masks and softcap to a product of two tensors,
// goes down to the product with the values, and follows each operand through everything that only moves elements. ONNX
// Attention nodes become the same node and take in the Transposes and Reshapes around them. Answers stay what they
// were, for fully masked rows, finite fills and NaN behind the mask too; where that cannot be had, nothing changes.
// Wants a bound and folded graph: shapes known, sizes computed. What is left over is dead and goes with remove_dead.
#include "runtime/pass/pass.h"

namespace tessera {

struct FoundAttention {
  std::vector<Miss> missed;  // Softmax nodes that became part of no attention, in topological order: what prevented it
  int found = 0;             // attentions written
};
FoundAttention find_attention(Graph& g, const Registry& registry);

extern const PassDef find_attention_pass;

}  // namespace tessera
