#include "ops/microsoft/heads.h"

namespace tessera {
namespace {

namespace mha {
constexpr int query = 0, key = 1, value = 2, bias = 3, key_padding_mask = 4, attention_bias = 5, past_key = 6,
              past_value = 7;
}

// Writes com.microsoft MultiHeadAttention as ONNX Attention. Operand forms: separate [B x L x H*D]; packed query
// [B x L x H x 3 x D]; packed key [B x L x H x 2 x D]; or a key and value that are [B x H x L x D] already.
class Rewrite {
 public:
  explicit Rewrite(RewriteContext& c) : c_(c), b_(c.build) {
    heads_ = c.attr().integer("num_heads");
    check(heads_ > 0, "num_heads must be positive, got ", heads_);
    for (std::size_t i = 8; i < c.in.size(); ++i)
      check(c.in[i] == ValueId::none, Code::unsupported,
            "past_sequence_length and cache_indirection are not supported");
    check(c.outputs <= 3, Code::unsupported, "the output qk is not supported");
  }

  void run() {
    operands();
    if (c_.has(mha::bias)) add_bias();
    Attributes attributes{{"q_num_heads", heads_}, {"kv_num_heads", heads_}};
    if (const auto it = c_.attributes.find("scale"); it != c_.attributes.end() && std::get<float>(it->second) != 0)
      attributes.insert(*it);  // 0 says: the default
    if (const auto it = c_.attributes.find("unidirectional"); it != c_.attributes.end())
      attributes.emplace("is_causal", it->second);
    const auto given = [&](int i) { return c_.has(i) ? c_.in[static_cast<std::size_t>(i)] : ValueId::none; };
    std::vector<ValueId> in{q_, k_, v_, mask(), given(mha::past_key), given(mha::past_value)};
    c_.become(b_.nodes("Attention", in, attributes, c_.outputs));
  }

 private:
  // Where it is not known before shapes are bound: the common form.
  int rank(int i, int common) const {
    const auto s = b_.shape(c_.in[static_cast<std::size_t>(i)]);
    return s ? s->rank() : common;
  }
  // Part `index` of axis 3 of [B x L x H x parts x D], as [B x L x H*D].
  ValueId unpack(ValueId packed, std::int64_t index) {
    const ValueId part =
        b_.node("Gather", {packed, b_.constant(Tensor::scalar<std::int64_t>(index))}, {{"axis", std::int64_t{3}}});
    return join_heads(b_, part);
  }

  // A missing key says that the query packs all three, a missing value that the key packs both: their rank may not be
  // known yet.
  void operands() {
    q_ = c_.in[mha::query];
    if (!c_.has(mha::key)) {
      const ValueId packed = q_;
      q_ = unpack(packed, 0), k_ = unpack(packed, 1), v_ = unpack(packed, 2);
      return;
    }
    k_ = c_.in[mha::key];
    if (!c_.has(mha::value)) {
      const ValueId packed = k_;
      k_ = unpack(packed, 0), v_ = unpack(packed, 1);
      return;
    }
    v_ = c_.in[mha::value];
    if (rank(mha::key, 3) != 4) return;
    check(!c_.has(mha::bias), Code::unsupported, "bias beside a key of [B x H x L x D] is not supported");
    k_ = merge_heads(b_, k_), v_ = merge_heads(b_, v_);
  }

  // bias [Cq + Ck + Cv] in the order q, k, v; q and k are equally wide.
  void add_bias() {
    const ValueId bias = c_.in[mha::bias];
    const auto whole = b_.shape(bias);
    check(whole && whole->rank() == 1, Code::unsupported, "bias must be a constant of rank 1");
    const auto q = b_.shape(q_);
    const std::int64_t total = (*whole)[0], width = q ? (*q)[2] : total / 3;
    check(2 * width <= total, "bias has ", total, " elements for a hidden size of ", width);
    const ValueId sizes = b_.ints({width, width, total - 2 * width});
    const auto parts = b_.nodes("Split", {bias, sizes}, {{"axis", std::int64_t{0}}}, 3);
    q_ = b_.node("Add", {q_, parts[0]}), k_ = b_.node("Add", {k_, parts[1]}), v_ = b_.node("Add", {v_, parts[2]});
  }

  // Padding gets mask_filter_value, a finite number, added to its scores; attention_bias is added on top.
  ValueId mask() {
    const ValueId sum = c_.has(mha::attention_bias) ? c_.in[mha::attention_bias] : ValueId::none;
    if (!c_.has(mha::key_padding_mask)) return sum;
    const bool cache = c_.has(mha::past_key);
    ValueId keys = size_of(b_, k_, 1);
    if (cache) keys = b_.node("Add", {size_of(b_, c_.in[mha::past_key], 2), keys});
    const ValueId added = added_to_scores(
        b_, {c_.in[mha::key_padding_mask], q_, keys, cache, double(c_.attr().real("mask_filter_value"))});
    return sum == ValueId::none ? added : b_.node("Add", {sum, added});
  }

  RewriteContext& c_;
  NodeBuilder& b_;
  std::int64_t heads_ = 0;
  ValueId q_ = ValueId::none, k_ = ValueId::none, v_ = ValueId::none;
};

}  // namespace

extern constinit const OpDef op_multi_head_attention = define({
    .name = "MultiHeadAttention",
    .domain = "com.microsoft",
    .since = 1,
    .doc = "Multi-head attention with optional packing, bias, padding mask and cache; imported as ONNX Attention.",
    .source = "ONNX Runtime contrib operators, com.microsoft.MultiHeadAttention-1",
    .inputs = {{"query", "T", "[B x Lq x H*D], or [B x L x H x 3 x D]"},
               {"key", "T", "[B x L x H*D], [B x L x H x 2 x D] or [B x H x L x D]", Presence::optional},
               {"value", "T", "[B x L x H*Dv] or [B x H x L x Dv]", Presence::optional},
               {"bias", "T", "[2 H*D + H*Dv]", Presence::optional},
               {"key_padding_mask", "i32", "[B], [B x L] or [B x Lq x L]", Presence::optional},
               {"attention_bias", "T", "broadcasts to [B x H x Lq x P+L]", Presence::optional},
               {"past_key", "T", "[B x H x P x D]", Presence::optional},
               {"past_value", "T", "[B x H x P x Dv]", Presence::optional},
               {"past_sequence_length", "i32", "not supported", Presence::optional},
               {"cache_indirection", "i32", "not supported", Presence::optional}},
    .outputs = {{"output", "T", "[B x Lq x H*Dv]"},
                {"present_key", "T", "[B x H x P+L x D]"},
                {"present_value", "T", "[B x H x P+L x Dv]"},
                {"qk", "T", "not supported"}},
    .attributes = {{"num_heads", AttributeType::integer, required, "H"},
                   {"mask_filter_value", AttributeType::real, -10000.0f, "added to the scores of padding"},
                   {"scale", AttributeType::real, {}, "default 1 / sqrt(D)"},
                   {"unidirectional", AttributeType::integer, 0, "1: causal"}},
    .types = {{"T", dtypes::floats}},
    .expand = [](RewriteContext& c) { Rewrite(c).run(); },
});

}  // namespace tessera
