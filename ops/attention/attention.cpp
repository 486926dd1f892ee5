#include "ops/attention/dense.h"

namespace tessera {

extern constinit const OpDef op_attention = define({
    .name = "Attention",
    .since = 24,
    .introduced = 23,
    .doc = "Y = softmax(mask(softcap(scale * Q K^T) + bias)) V per head, without a buffer of size Lq x Lk. Key j is "
           "visible to query i under is_causal iff j <= i + offset, offset = cache length, or nonpad_kv_seqlen - Lq, "
           "or 0. Queries that see no key give zeros. Hq is a multiple of Hkv (grouped queries).",
    .source = "ONNX Attention-24; Vaswani et al. 2017, arXiv:1706.03762; Dao 2023, arXiv:2307.08691",
    .inputs = {{"Q", "T1", "[B x Hq x Lq x D] or [B x Lq x Hq*D]"},
               {"K", "T1", "[B x Hkv x L x D] or [B x L x Hkv*D]"},
               {"V", "T1", "[B x Hkv x L x Dv] or [B x L x Hkv*Dv]"},
               {"attn_mask", "U",
                "broadcasts to [B x Hq x Lq x P+L]; bool keeps, float is added; a short last axis hides "
                "the rest",
                Presence::optional},
               {"past_key", "T1", "[B x Hkv x P x D]", Presence::optional},
               {"past_value", "T1", "[B x Hkv x P x Dv]", Presence::optional},
               {"nonpad_kv_seqlen", "i64", "[B]: valid keys per batch entry", Presence::optional}},
    .outputs = {{"Y", "T1", "[B x Hq x Lq x Dv] or [B x Lq x Hq*Dv]"},
                {"present_key", "T1", "[B x Hkv x P+L x D]"},
                {"present_value", "T1", "[B x Hkv x P+L x Dv]"},
                {"qk_matmul_output", "T1", "[B x Hq x Lq x P+L], only when asked for"},
                {"lse", "L", "[B x Hq x Lq]: log of the sum of exponentials, -inf where no key is seen (ours)"}},
    .attributes = {{"is_causal", AttributeType::integer, 0, "1: queries see no later key"},
                   {"kv_num_heads", AttributeType::integer, 0, "needed for 3-D operands"},
                   {"q_num_heads", AttributeType::integer, 0, "needed for 3-D operands"},
                   {"qk_matmul_output_mode", AttributeType::integer, 0,
                    "0 scaled products, 1 softcapped, 2 masked too, 3 probabilities"},
                   {"scale", AttributeType::real, {}, "default 1 / sqrt(D)"},
                   {"softcap", AttributeType::real, 0.0f, "c > 0: scores become c tanh(score / c)"},
                   {"softmax_precision", AttributeType::integer, 1, "the softmax is computed in f32 or wider"}},
    .types = {{"T1", dtypes::floats}, {"U", dtypes::floats | dtypes::boolean}, {"L", set_of(Types<float, double>{})}},
    .dtype = dense_attention::dtype,
    .shape = dense_attention::shape,
    .flops = dense_attention::flops,
    .kernel = dense_attention::kernel,
    .gradient = dense_attention::gradient,
    .examples = {"{{{{0, 0}}}}; {{{{1, 0}, {0, 1}}}}; {{{{2, 4}, {4, 8}}}} -> {{{{3, 6}}}}",
                 "{{{{1, 0}}}}; {{{{1.0986123, 0}, {0, 5}}}}; {{{{1, 2}, {5, 6}}}}; scale=1 -> {{{{2, 3}}}}; _; _; _; "
                 "{{{1.3862944}}}",
                 "{{{{0}, {0}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; is_causal=1 -> {{{{3}, {4}}}}",
                 "{{{0, 0}}}; {{{1}, {2}}}; {{{3}, {5}}}; q_num_heads=2; kv_num_heads=1 -> {{{4, 4}}}",
                 "{{{{0}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; bool{{false, false}} -> {{{{0}}}}",
                 "{{{{1}}}}; {{{{1}}}}; {{{{3}}}}; _; {{{{2}}}}; {{{{7}}}}; softcap=1; scale=0.5 -> "
                 "{{{{5.2972586}}}}; {{{{2}, {1}}}}; {{{{7}, {3}}}}"},
});

}  // namespace tessera
