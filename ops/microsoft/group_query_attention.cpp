#include <limits>

#include "ops/fill.h"
#include "ops/microsoft/heads.h"

namespace tessera {
namespace {

namespace gqa {
constexpr int query = 0, key = 1, value = 2, past_key = 3, past_value = 4, seqlens_k = 5, total_sequence_length = 6,
              cos_cache = 7, sin_cache = 8, position_ids = 9, attention_bias = 10, head_sink = 11, k_scale = 12;
}

// Writes com.microsoft GroupQueryAttention as ONNX Attention. A cache may have room for more keys than it holds: batch
// entry b holds seqlens_k[b] + 1 - S keys from before, and the S new ones are written behind them (TensorScatter).
class Rewrite {
 public:
  explicit Rewrite(RewriteContext& c)
      : c_(c),
        b_(c.build),
        attr_(c.attr()),
        heads_(attr_.integer("num_heads")),
        kv_heads_(attr_.integer("kv_num_heads")) {
    check(heads_ > 0 && kv_heads_ > 0 && heads_ % kv_heads_ == 0,
          "num_heads must be a positive multiple of kv_num_heads, got ", heads_, " and ", kv_heads_);
    for (std::size_t i = gqa::k_scale; i < c.in.size(); ++i)
      check(c.in[i] == ValueId::none, Code::unsupported, "a quantized cache is not supported");
    check(c.outputs <= 3 && attr_.integer("qk_output") == 0, Code::unsupported, "output_qk is not supported");
    cached_ = c.has(gqa::past_key);
    check(cached_ == c.has(gqa::past_value), "past_key and past_value go together");
    sink_ = c.has(gqa::head_sink) || attr_.flag("smooth_softmax");
  }

  void run() {
    operands();
    new_keys_ = size_of(b_, k_, 1);
    if (cached_) count_keys();
    if (attr_.flag("do_rotary")) rotate();
    c_.become(cached_ || sink_ ? attend_by_head() : attend());
  }

 private:
  ValueId in(int i) const { return c_.has(i) ? c_.in[static_cast<std::size_t>(i)] : ValueId::none; }
  ValueId number(std::int64_t n) { return b_.constant(Tensor::scalar(n)); }
  ValueId up_to(ValueId n) { return b_.node("Range", {number(0), n, number(1)}); }  // 0, 1, ... n - 1
  ValueId as_i64(ValueId v) { return b_.cast(v, DType::i64); }

  ValueId total() { return b_.node("Reshape", {as_i64(in(gqa::total_sequence_length)), b_.ints({})}); }

  // A missing key says that the query packs all three: [B x S x (H + 2 Hkv) D].
  void operands() {
    q_ = in(gqa::query), k_ = in(gqa::key), v_ = in(gqa::value);
    check((k_ == ValueId::none) == (v_ == ValueId::none), "key and value go together");
    if (k_ != ValueId::none) return;
    const std::int64_t all = heads_ + 2 * kv_heads_;
    if (const auto s = b_.shape(q_))
      check(s->rank() == 3 && (*s)[2] % all == 0, "query ", *s, " does not hold ", all, " equal heads");
    const ValueId width = b_.node("Div", {size_of(b_, q_, 2), number(all)});
    const ValueId sizes = b_.node("Mul", {width, b_.ints({heads_, kv_heads_, kv_heads_})});
    const auto parts = b_.nodes("Split", {q_, sizes}, {{"axis", std::int64_t{2}}}, 3);
    q_ = parts[0], k_ = parts[1], v_ = parts[2];
  }

  // valid_ and first_, [B]: keys of each entry with the new ones, and where these begin. A first call may say fewer
  // than S keys, of an entry with padding behind; it begins at 0 like the others.
  void count_keys() {
    const ValueId listed = b_.node("Reshape", {in(gqa::seqlens_k), b_.ints({-1})});
    valid_ = b_.node("Max", {b_.node("Add", {as_i64(listed), number(1)}), new_keys_});
    first_ = b_.node("Sub", {valid_, new_keys_});
  }

  // Positions of the new tokens, [B x S], or [S] where all entries begin at 0.
  ValueId positions() {
    return cached_ ? b_.node("Add", {b_.node("Unsqueeze", {first_, b_.ints({1})}), up_to(new_keys_)})
                   : up_to(new_keys_);
  }

  // In a first call, which makes up all keys, ONNX Runtime counts from the first of position_ids, for every entry.
  ValueId given_positions() {
    const ValueId ids = in(gqa::position_ids), is_first = b_.node("Equal", {total(), new_keys_});
    const ValueId first = b_.node("Slice", {ids, b_.ints({0, 0}), b_.ints({1, 1}), b_.ints({0, 1})});
    return b_.node("Where", {is_first, b_.node("Add", {first, up_to(new_keys_)}), ids});
  }

  void rotate() {
    check(c_.has(gqa::cos_cache) && c_.has(gqa::sin_cache), "do_rotary needs cos_cache and sin_cache");
    const ValueId outer = b_.node("Slice", {b_.node("Shape", {k_}), b_.ints({0}), b_.ints({2})});
    const ValueId at = b_.node("Expand", {c_.has(gqa::position_ids) ? given_positions() : positions(), outer});
    const auto cache = b_.shape(in(gqa::cos_cache));
    const std::int64_t rotated = cache && cache->rank() == 2 ? 2 * (*cache)[1] : 0;
    const auto turned = [&](ValueId x, std::int64_t heads) {
      return b_.node("RotaryEmbedding", {x, in(gqa::cos_cache), in(gqa::sin_cache), at},
                     {{"interleaved", attr_.integer("rotary_interleaved")},
                      {"num_heads", heads},
                      {"rotary_embedding_dim", rotated}});
    };
    q_ = turned(q_, heads_), k_ = turned(k_, kv_heads_);
  }

  // attention_bias, and what the window hides: keys that lie local_window_size or more before the query.
  ValueId mask(ValueId keys) {
    const ValueId bias = in(gqa::attention_bias);
    const std::int64_t window = attr_.integer("local_window_size");
    if (window <= 0) return bias;
    const ValueId oldest = b_.node("Sub", {positions(), number(window)});  // hidden, this one too
    const ValueId by_query = b_.node("Unsqueeze", {oldest, cached_ ? b_.ints({1, 3}) : b_.ints({1})});
    const ValueId keep = b_.node("Greater", {up_to(keys), by_query});
    if (bias == ValueId::none) return keep;
    return b_.node("Where", {keep, bias, b_.scalar_like(bias, -std::numeric_limits<double>::infinity())});
  }

  Attributes attributes() const {
    Attributes a{{"is_causal", std::int64_t{1}}};
    for (const auto* name : {"scale", "softcap"})  // 0 says: the default, none
      if (attr_.has(name) && attr_.real(name) != 0) a[name] = attr_.real(name);
    return a;
  }

  std::vector<ValueId> attend() {
    Attributes a = attributes();
    a["q_num_heads"] = heads_, a["kv_num_heads"] = kv_heads_;
    return b_.nodes("Attention", {q_, k_, v_, mask(new_keys_)}, a, c_.outputs);
  }

  // The same on [B x heads x L x D], with the cache.
  std::vector<ValueId> attend_by_head() {
    const ValueId q = split_heads(b_, q_, heads_);
    ValueId k = split_heads(b_, k_, kv_heads_), v = split_heads(b_, v_, kv_heads_);
    if (cached_) k = joined(in(gqa::past_key), k), v = joined(in(gqa::past_value), v);
    constexpr int lse = 4;
    const auto out =
        b_.nodes("Attention", {q, k, v, mask(cached_ ? total() : new_keys_), ValueId::none, ValueId::none, valid_},
                 attributes(), sink_ ? lse + 1 : 1);
    const ValueId y = sink_ ? b_.node("Mul", {out[0], share_without_sink(out[lse])}) : out[0];
    return {merge_heads(b_, y), k, v};
  }

  // The cache with the new keys in it. It grows when total_sequence_length says so.
  ValueId joined(ValueId past, ValueId more) {
    const ValueId room = size_of(b_, past, 2), sizes = b_.node("Shape", {past});
    const ValueId lacking = b_.node("Max", {b_.node("Sub", {total(), room}), number(0)});
    const ValueId shape =
        b_.node("ScatterElements", {sizes, b_.ints({2}), b_.node("Unsqueeze", {lacking, b_.ints({0})})});
    const ValueId zeros = b_.node("ConstantOfShape", {shape}, {{"value", Tensor::zeros(b_.dtype(past), {1})}});
    const ValueId cache = b_.node("Concat", {past, zeros}, {{"axis", std::int64_t{2}}});
    return b_.node("TensorScatter", {cache, more, first_}, {{"axis", std::int64_t{2}}});
  }

  // A sink is one more key without a value, of score z (0 for smooth_softmax): what is left for the others is
  // e^lse / (e^lse + e^z) = sigmoid(lse - z). [B x H x S x 1]
  ValueId share_without_sink(ValueId lse) {
    ValueId less = lse;
    if (c_.has(gqa::head_sink)) {
      const ValueId sink = b_.cast(in(gqa::head_sink), b_.dtype(lse));
      less = b_.node("Sub", {lse, b_.node("Unsqueeze", {sink, b_.ints({1})})});
    }
    const ValueId share = b_.cast(b_.node("Sigmoid", {less}), b_.dtype(q_));
    return b_.node("Unsqueeze", {share, b_.ints({3})});
  }

  RewriteContext& c_;
  NodeBuilder& b_;
  const AttributeReader attr_;
  const std::int64_t heads_, kv_heads_;
  bool cached_ = false, sink_ = false;
  ValueId q_ = ValueId::none, k_ = ValueId::none, v_ = ValueId::none;
  ValueId new_keys_ = ValueId::none, valid_ = ValueId::none, first_ = ValueId::none;  // S; see count_keys
};

}  // namespace

extern constinit const OpDef op_group_query_attention = define({
    .name = "GroupQueryAttention",
    .domain = "com.microsoft",
    .doc = "Causal attention of H query heads on Hkv key heads, with optional packing, rotary embedding, window, sinks "
           "and a cache; imported as ONNX Attention.",
    .source = "ONNX Runtime contrib operators, com.microsoft.GroupQueryAttention-1; Ainslie et al. 2023, "
              "arXiv:2305.13245; sinks: Xiao et al. 2023, arXiv:2309.17453",
    .inputs = {{"query", "T", "[B x S x H*D], or [B x S x (H + 2 Hkv)*D]: query, key, value"},
               {"key", "T", "[B x S x Hkv*D]", Presence::optional},
               {"value", "T", "[B x S x Hkv*D]", Presence::optional},
               {"past_key", "T", "[B x Hkv x P x D]", Presence::optional},
               {"past_value", "T", "[B x Hkv x P x D]", Presence::optional},
               {"seqlens_k", "i32", "[B]: keys of each entry, with the new ones, less 1"},
               {"total_sequence_length", "i32", "one number: the most keys of an entry; the cache grows to it"},
               {"cos_cache", "T", "[positions x D/2]", Presence::optional},
               {"sin_cache", "T", "as cos_cache", Presence::optional},
               {"position_ids", "i64",
                "[B x S], only the first number in a first call; default: behind the cached keys", Presence::optional},
               {"attention_bias", "T", "broadcasts to [B x H x S x keys]", Presence::optional},
               {"head_sink", "T", "[H]: the score of a key without value", Presence::optional},
               {"k_scale", "f32", "not supported", Presence::optional},
               {"v_scale", "f32", "not supported", Presence::optional}},
    .outputs = {{"output", "T", "[B x S x H*D]"},
                {"present_key", "T", "[B x Hkv x keys x D]"},
                {"present_value", "T", "[B x Hkv x keys x D]"},
                {"output_qk", "T", "not supported"}},
    .attributes = {{"do_rotary", AttributeType::integer, 0, "1: query and key are rotated first"},
                   {"kv_num_heads", AttributeType::integer, required, "Hkv"},
                   {"local_window_size", AttributeType::integer, -1,
                    "keys that a query sees, itself included; -1: all"},
                   {"num_heads", AttributeType::integer, required, "H, a multiple of Hkv"},
                   {"qk_output", AttributeType::integer, 0, "others are not supported"},
                   {"rotary_interleaved", AttributeType::integer, 0, "1: pairs are neighbours"},
                   {"scale", AttributeType::real, {}, "default 1 / sqrt(D)"},
                   {"smooth_softmax", AttributeType::integer, 0, "1: a sink of score 0"},
                   {"softcap", AttributeType::real, 0.0f, "c > 0: scores become c tanh(score / c)"}},
    .types = {{"T", dtypes::floats}},
    .expand = [](RewriteContext& c) { Rewrite(c).run(); },
});

}  // namespace tessera
