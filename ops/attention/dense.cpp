#include "ops/attention/dense.h"

#include "ops/attention/geometry.h"

namespace tessera {

extern constinit const OpDef op_dense = define({
    .name = "dense",
    .domain = "tessera.attention",
    .doc = "ONNX Attention, with operands where they lie and the rules that a decomposed attention obeys. A view "
           "(q_view, k_view, v_view, y_view) is [B, H, L, D, offset, stride of B, stride of H, stride of L], in "
           "elements of a dense tensor of any rank; the stride of D is 1. A packed QKV tensor is given three times. "
           "Strides may be 0 or negative; y_view places every element of y_shape once. Every attention that a model "
           "contains is rewritten to this node; a policy swaps it for another method.",
    .source = "ONNX Attention-24; Dao 2023, arXiv:2307.08691",
    .inputs = {{"Q", "T1", "[B x Hq x Lq x D] or [B x Lq x Hq*D], or anything under q_view"},
               {"K", "T1", "as Q, with Hkv heads and L rows"},
               {"V", "T1", "as K, with Dv columns"},
               {"attn_mask", "U",
                "broadcasts to [B x Hq x Lq x P+L]; bool keeps, float is added; a short last axis hides "
                "the rest",
                Presence::optional},
               {"past_key", "T1", "[B x Hkv x P x D]", Presence::optional},
               {"past_value", "T1", "[B x Hkv x P x Dv]", Presence::optional},
               {"nonpad_kv_seqlen", "i64", "[B]: valid keys per batch entry", Presence::optional}},
    .outputs = {{"Y", "T1", "[B x Hq x Lq x Dv] or [B x Lq x Hq*Dv], or y_shape"},
                {"present_key", "T1", "[B x Hkv x P+L x D]"},
                {"present_value", "T1", "[B x Hkv x P+L x Dv]"},
                {"qk_matmul_output", "T1", "[B x Hq x Lq x P+L], only when asked for"},
                {"lse", "L",
                 "[B x Hq x Lq]: log of the sum of exponentials, of the visible keys; -inf where there is none"},
                {"density", "f32", "[B x Hq]: pairs that causality, lengths and a boolean mask leave / all pairs"},
                {"selection", "i32", "[0]: dense selects nothing"}},
    .attributes = {{"grid", AttributeType::integers, {}, "how the tokens form (T, H, W); dense does not look at it"},
                   {"hidden_score",
                    AttributeType::real,
                    {},
                    "the score of keys that a boolean attn_mask or is_causal hides; default -inf"},
                   {"hidden_values", AttributeType::text, "skip",
                    "multiply: 0 * V of hidden keys is added, so that a NaN behind the mask is seen",
                    hidden_value_choices},
                   {"is_causal", AttributeType::integer, 0, "1: queries see no later key"},
                   {"k_view", AttributeType::integers, {}, "where K lies in its tensor"},
                   {"kv_num_heads", AttributeType::integer, 0, "needed for a 3-D K or V without a view"},
                   {"q_num_heads", AttributeType::integer, 0, "needed for a 3-D Q without a view"},
                   {"q_view", AttributeType::integers, {}, "where Q lies in its tensor"},
                   {"qk_matmul_output_mode", AttributeType::integer, 0,
                    "0 scaled products, 1 softcapped, 2 masked too, 3 probabilities"},
                   {"scale", AttributeType::real, {}, "default 1 / sqrt(D)"},
                   {"softcap", AttributeType::real, 0.0f, "c > 0: scores become c tanh(score / c)"},
                   {"softmax_precision", AttributeType::integer, 1, "the softmax is computed in f32 or wider"},
                   {"undefined_rows", AttributeType::text, "zero",
                    "what a query without keys gives; guarded: zeros, and zeros for NaN scores too",
                    undefined_row_choices},
                   {"v_view", AttributeType::integers, {}, "where V lies in its tensor"},
                   {"y_shape", AttributeType::integers, {}, "the shape of Y, beside y_view"},
                   {"y_view", AttributeType::integers, {}, "where Y lies in its tensor"}},
    .types = {{"T1", dtypes::floats}, {"U", dtypes::floats | dtypes::boolean}, {"L", set_of(Types<float, double>{})}},
    .dtype = dense_attention::dtype,
    .shape = dense_attention::shape,
    .flops = dense_attention::flops,
    .kernel = dense_attention::kernel,
    .gradient = dense_attention::gradient,
    .examples =
        {"{{{{0, 0}}}}; {{{{1, 0}, {0, 1}}}}; {{{{2, 4}, {4, 8}}}} -> {{{{3, 6}}}}; _; _; _; {{{0.6931472}}}; {{1}}; "
         "i32[0]{}",
         // Packed: Q, K and V of two heads of size 1, one after the other in each of two rows.
         "{{{0, 0, 1, 2, 3, 5}, {0, 0, 4, 8, 5, 7}}}; {{{0, 0, 1, 2, 3, 5}, {0, 0, 4, 8, 5, 7}}}; {{{0, 0, 1, 2, 3, "
         "5}, "
         "{0, 0, 4, 8, 5, 7}}}; q_view=[1, 2, 2, 1, 0, 12, 1, 6]; k_view=[1, 2, 2, 1, 2, 12, 1, 6]; v_view=[1, 2, 2, "
         "1, "
         "4, 12, 1, 6]; y_view=[1, 2, 2, 1, 0, 4, 1, 2]; y_shape=[2, 2] -> {{4, 6}, {4, 6}}",
         "{{{{0}, {0}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; is_causal=1 -> {{{{3}, {4}}}}; _; _; _; _; {{0.75}}",
         // Keys that are hidden by a finite number weigh alike where all are hidden.
         "{{{{1}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; bool{{false, false}}; hidden_score=-10000.0 -> {{{{4}}}}",
         "{{{{0}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; bool{{true, false}}; hidden_score=1.0986123 -> {{{{4.5}}}}"},
});

}  // namespace tessera
