#include <numeric>

#include "runtime/op/context.h"

namespace tessera {
namespace {

using Ints = std::vector<std::int64_t>;

// Writes com.microsoft RotaryEmbedding as ONNX RotaryEmbedding, which wants a position for every token, and the number
// of heads where the input does not show it.
class Rewrite {
 public:
  explicit Rewrite(RewriteContext& c) : c_(c), b_(c.build), attr_(c.attr()) {
    check(!attr_.flag("is_packed_batching"), Code::unsupported, "is_packed_batching is not supported");
    check(attr_.real("scale") == 1, Code::unsupported, "a scale other than 1 is not supported");
    check(attr_.integer("rotary_embedding_dim") == 0 || attr_.integer("num_heads") > 0,
          "rotary_embedding_dim needs num_heads");
  }

  void run() {
    const ValueId x = c_.in[0];
    const auto s = b_.shape(x);
    const std::int64_t heads = attr_.integer("num_heads");
    if (heads > 0 || (s && s->rank() == 4)) return c_.become({rotated(x, heads)});
    const auto cache = b_.shape(c_.in[2]);
    check(cache && cache->rank() == 2 && (*cache)[1] > 0, Code::unsupported,
          "without num_heads, the caches must be [positions x D/2] of known size");
    const std::int64_t width = 2 * (*cache)[1];
    c_.become({s && s->rank() == 3 ? rotated(x, (*s)[2] / width) : rotated_by_head(x, b_.ints({width}))});
  }

 private:
  ValueId rotated(ValueId x, std::int64_t heads) {
    return b_.node("RotaryEmbedding", {x, c_.in[2], c_.in[3], positions(x)},
                   {{"interleaved", attr_.integer("interleaved")},
                    {"num_heads", heads},
                    {"rotary_embedding_dim", attr_.integer("rotary_embedding_dim")}});
  }

  // x [B x L x H*D] whose sizes are not known yet: -> [B x H x L x D] -> back.
  ValueId rotated_by_head(ValueId x, ValueId width) {
    const ValueId sizes = b_.node("Shape", {x}), outer = b_.node("Slice", {sizes, b_.ints({0}), b_.ints({2})});
    const ValueId heads = b_.node("Div", {b_.node("Slice", {sizes, b_.ints({2}), b_.ints({3})}), width});
    const ValueId apart = b_.node("Concat", {outer, heads, width}, {{"axis", std::int64_t{0}}});
    const Attributes swap{{"perm", Ints{0, 2, 1, 3}}}, literal{{"allowzero", std::int64_t{1}}};
    const ValueId by_head = b_.node("Transpose", {b_.node("Reshape", {x, apart}, literal)}, swap);
    return b_.node("Reshape", {b_.node("Transpose", {rotated(by_head, 0)}, swap), sizes}, literal);
  }

  // [B x L]. One number is the position of the first token of each batch entry. L is the last axis but one in both
  // forms of the input.
  ValueId positions(ValueId x) {
    const ValueId given = c_.in[1];
    const auto s = b_.shape(given);
    if (!s || s->rank() != 1) return given;
    if (const auto known = b_.shape(x); known && known->rank() >= 3) {
      Ints row(static_cast<std::size_t>((*known)[known->rank() - 2]));
      std::iota(row.begin(), row.end(), 0);
      const Ints whole{(*known)[0], static_cast<std::int64_t>(row.size())};  // `known` ends with the next node
      return b_.node("Expand", {b_.node("Add", {b_.ints(row), given}), b_.ints(whole)});
    }
    const ValueId sizes = b_.node("Shape", {x});
    const auto number = [&](std::int64_t n) { return b_.constant(Tensor::scalar(n)); };
    const auto size = [&](std::int64_t axis) { return b_.node("Gather", {sizes, b_.ints({axis})}); };
    const ValueId length = b_.node("Gather", {sizes, number(-2)});
    const ValueId row = b_.node("Add", {b_.node("Range", {number(0), length, number(1)}), given});
    return b_.node("Expand", {row, b_.node("Concat", {size(0), size(-2)}, {{"axis", std::int64_t{0}}})});
  }

  RewriteContext& c_;
  NodeBuilder& b_;
  const AttributeReader attr_;
};

}  // namespace

extern constinit const OpDef op_microsoft_rotary_embedding = define({
    .name = "RotaryEmbedding",
    .domain = "com.microsoft",
    .doc = "Rotates pairs of features by the angle of their position; imported as ONNX RotaryEmbedding.",
    .source = "ONNX Runtime contrib operators, com.microsoft.RotaryEmbedding-1",
    .inputs = {{"input", "T", "[B x L x H*D] or [B x H x L x D]"},
               {"position_ids", "i64", "[B x L], or [1]: where every batch entry begins"},
               {"cos_cache", "T", "[positions x D/2]"},
               {"sin_cache", "T", "as cos_cache"}},
    .outputs = {{"output", "T", "shape of input"}},
    .attributes = {{"interleaved", AttributeType::integer, 0, "1: pairs are neighbours"},
                   {"is_packed_batching", AttributeType::integer, 0, "1 is not supported"},
                   {"num_heads", AttributeType::integer, 0, "H; 0: the caches tell"},
                   {"rotary_embedding_dim", AttributeType::integer, 0, "features rotated per head; 0: all"},
                   {"scale", AttributeType::real, 1.0f, "others are not supported"}},
    .types = {{"T", dtypes::floats}},
    .expand = [](RewriteContext& c) { Rewrite(c).run(); },
});

}  // namespace tessera
