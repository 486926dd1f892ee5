#include "ops/microsoft/heads.h"

namespace tessera {
namespace {

constexpr int input = 0, weights = 1, bias = 2, mask_index = 3, past = 4, attention_bias = 5;

// Writes com.microsoft Attention as MatMul, Add, Split and ONNX Attention.
class Rewrite {
 public:
  explicit Rewrite(RewriteContext& c) : c_(c), b_(c.build), attr_(c.attr()), heads_(attr_.integer("num_heads")) {
    check(heads_ > 0, "num_heads must be positive, got ", heads_);
    for (const auto* name : {"do_rotary", "past_present_share_buffer"})
      check(!attr_.flag(name), Code::unsupported, name, " is not supported");
    check(!c.has(6), Code::unsupported, "past_sequence_length is not supported");
  }

  void run() {
    ValueId all = b_.node("MatMul", {c_.in[input], c_.in[weights]});
    if (c_.has(bias)) all = b_.node("Add", {all, c_.in[bias]});
    const auto qkv = b_.nodes("Split", {all, sizes()}, {{"axis", std::int64_t{2}}}, 3);
    ValueId past_key = ValueId::none, past_value = ValueId::none;
    if (c_.has(past)) past_key = half(0), past_value = half(1);
    Attributes attributes{{"q_num_heads", heads_}, {"kv_num_heads", heads_}};
    if (attr_.has("scale") && attr_.real("scale") != 0) attributes["scale"] = attr_.real("scale");  // 0: the default
    if (attr_.flag("unidirectional")) attributes["is_causal"] = std::int64_t{1};
    const auto y = b_.nodes("Attention", {qkv[0], qkv[1], qkv[2], mask(qkv[0], past_key), past_key, past_value},
                            attributes, c_.wants(1) ? 3 : 1);
    const auto stacked = [&](ValueId v) { return b_.node("Unsqueeze", {v, b_.ints({0})}); };
    const Attributes first{{"axis", std::int64_t{0}}};
    c_.become({y[0], c_.wants(1) ? b_.node("Concat", {stacked(y[1]), stacked(y[2])}, first) : ValueId::none});
  }

 private:
  // How many of the columns are q, k and v: given, or a third each.
  ValueId sizes() {
    if (const auto given = attr_.integers("qkv_hidden_sizes"); !given.empty()) {
      check(given.size() == 3, "qkv_hidden_sizes needs 3 numbers, got ", given.size());
      return b_.ints(given);
    }
    const auto s = b_.shape(c_.in[weights]);
    check(s && s->rank() == 2, Code::unsupported, "without qkv_hidden_sizes, the weights must be of known shape");
    check((*s)[1] % 3 == 0, "weights ", *s, " do not hold three equal parts");
    const std::int64_t third = (*s)[1] / 3;
    return b_.ints({third, third, third});
  }

  // past is [2 x B x H x P x D].
  ValueId half(std::int64_t i) {
    return b_.node("Gather", {c_.in[past], b_.constant(Tensor::scalar(i))}, {{"axis", std::int64_t{0}}});
  }

  ValueId mask(ValueId q, ValueId past_key) {
    const ValueId sum = c_.has(attention_bias) ? c_.in[attention_bias] : ValueId::none;
    if (!c_.has(mask_index)) return sum;
    const bool cache = past_key != ValueId::none;
    ValueId keys = size_of(b_, q, 1);
    if (cache) keys = b_.node("Add", {size_of(b_, past_key, 2), keys});
    const ValueId added =
        added_to_scores(b_, {c_.in[mask_index], q, keys, cache, double(attr_.real("mask_filter_value"))});
    return sum == ValueId::none ? added : b_.node("Add", {sum, added});
  }

  RewriteContext& c_;
  NodeBuilder& b_;
  const AttributeReader attr_;
  const std::int64_t heads_;
};

}  // namespace

extern constinit const OpDef op_microsoft_attention = define({
    .name = "Attention",
    .domain = "com.microsoft",
    .doc =
        "Self-attention, the projection to queries, keys and values included; imported as MatMul and ONNX Attention.",
    .source = "ONNX Runtime contrib operators, com.microsoft.Attention-1",
    .inputs = {{"input", "T", "[B x L x C]"},
               {"weights", "T", "[C x 2 H*D + H*Dv]"},
               {"bias", "T", "[2 H*D + H*Dv]", Presence::optional},
               {"mask_index", "i32", "[B], [B x P+L] or [B x L x P+L]", Presence::optional},
               {"past", "T", "[2 x B x H x P x D]", Presence::optional},
               {"attention_bias", "T", "broadcasts to [B x H x L x P+L]", Presence::optional},
               {"past_sequence_length", "i32", "not supported", Presence::optional}},
    .outputs = {{"output", "T", "[B x L x H*Dv]"}, {"present", "T", "[2 x B x H x P+L x D]"}},
    .attributes = {{"do_rotary", AttributeType::integer, 0, "1 is not supported"},
                   {"mask_filter_value", AttributeType::real, -10000.0f, "added to the scores of hidden keys"},
                   {"num_heads", AttributeType::integer, required, "H"},
                   {"past_present_share_buffer", AttributeType::integer, 0, "1 is not supported"},
                   {"qkv_hidden_sizes", AttributeType::integers, {}, "H*D, H*D, H*Dv; default: equal"},
                   {"rotary_embedding_dim", AttributeType::integer, 0, "of do_rotary"},
                   {"scale", AttributeType::real, {}, "default 1 / sqrt(D)"},
                   {"unidirectional", AttributeType::integer, 0, "1: causal"}},
    .types = {{"T", dtypes::floats}},
    .expand = [](RewriteContext& c) { Rewrite(c).run(); },
});

}  // namespace tessera
