#pragma once
// What by_head and its gradient share: reading which head goes by which method.
#include "ops/attention/attention_node.h"

namespace tessera::by_head {

inline constexpr MethodPorts ports{1};  // the gate

// A method with parameters, as attribute `methods` has it: "vsa tile=[4, 4, 4] sparsity=0.875". Errors: unsupported
// for a method that is not there, bad_input for parameters.
struct MethodChoice {
  const AttentionMethod* method = nullptr;
  Attributes parameters;
};
MethodChoice parse_method(std::string_view text);

std::shared_ptr<const AttentionNode> node_of(const AttributeReader& attr, AttentionGeometry geometry,
                                             const std::function<bool(int)>& has);
std::shared_ptr<const AttentionNode> node_of(const ShapeContext& c);
std::shared_ptr<const void> prepare(const PrepareContext& p);
double flops(const ShapeContext& c);  // of forward

}  // namespace tessera::by_head
