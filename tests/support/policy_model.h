#pragma once
// A small model with attention sites, and a method for policies to bind: for tests of policies.
#include "ops/attention/method.h"
#include "runtime/policy/apply.h"
#include "tests/support/small_graph.h"

namespace tessera {

// All operators, and `nearby`: a selector that keeps the first ceil(share * n) key tiles, refuses more than
// `most_tokens` tokens, takes a gate, and has a parameter of each type.
const Registry& registry_with_nearby();

// x -> three self-attentions "/blocks.N/attn1/Softmax" with a product "/blocks.N/ffn/MatMul" after each, the last
// causal; and one cross-attention "/cross/attn2/Softmax" to `text`. 16 tokens, 5 keys of text, 4 heads of 2.
struct PolicyModel : SmallGraph {
  PolicyModel();
  Trail apply(const std::string& policy, const StepPosition& position = {});
  const Node& site(std::size_t i) const;
};

// The same policy, "version: 1" before it, applied to the model; what was said, or "no error".
std::string failure_of_policy(const std::string& policy);

}  // namespace tessera
