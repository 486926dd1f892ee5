#pragma once
// What by_head and its gradient share: reading which head goes by which method.
#include "ops/attention/attention_node.h"

namespace tessera::by_head {

// Of by_head and of by_headGrad.
inline constexpr decltype(OpDef::attributes) attributes = {
    {"grid", AttributeType::integers, {}, "[T, H, W]: how the tokens lie, for methods with tiles"},
    {"head_method", AttributeType::integers, required, "[Hq]: an index into methods per query head"},
    {"hidden_score", AttributeType::real, {}, "as dense; nothing is hidden"},
    {"hidden_values", AttributeType::text, "skip", "as dense; nothing is hidden", hidden_value_choices},
    {"is_causal", AttributeType::integer, 0, "refused unless 0"},
    {"k_view", AttributeType::integers, {}, "as dense"},
    {"kv_num_heads", AttributeType::integer, 0, "as dense"},
    {"methods", AttributeType::texts, required, "each a name and parameters"},
    {"q_num_heads", AttributeType::integer, 0, "as dense"},
    {"q_view", AttributeType::integers, {}, "as dense"},
    {"qk_matmul_output_mode", AttributeType::integer, 0, "as dense; not given"},
    {"scale", AttributeType::real, {}, "default 1 / sqrt(D)"},
    {"softcap", AttributeType::real, 0.0f, "refused unless 0"},
    {"softmax_precision", AttributeType::integer, 1, "as dense"},
    {"undefined_rows", AttributeType::text, "zero", "as dense; no row is undefined", undefined_row_choices},
    {"v_view", AttributeType::integers, {}, "as dense"},
    {"y_shape", AttributeType::integers, {}, "as dense"},
    {"y_view", AttributeType::integers, {}, "as dense"}};

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
