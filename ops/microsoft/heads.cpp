#include "ops/microsoft/heads.h"

#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// True for keys: bool [B x 1 x 1 x keys] or [B x 1 x Lq x keys].
ValueId kept(NodeBuilder& b, const Padding& p) {
  const auto s = b.shape(p.mask), q = b.shape(p.q);
  const int dims = s ? s->rank() : 2;
  check(dims >= 1 && dims <= 3, Code::unsupported, "a mask of rank ", dims, " is not supported");
  if (dims == 1) {
    check(!p.cache, Code::unsupported, "a mask [B] beside a cache is not supported");
    check(!q || (*s)[0] == (*q)[0], Code::unsupported, "a mask must be [B], [B x L] or [B x Lq x L], got ", *s);
    const auto number = [&](std::int64_t x) { return b.constant(Tensor::scalar(x)); };
    const ValueId places = b.cast(b.node("Range", {number(0), p.keys, number(1)}), DType::i32);
    return b.node("Less", {places, b.node("Unsqueeze", {p.mask, b.ints({1, 2, 3})})});
  }
  const ValueId keep = b.node("Greater", {p.mask, b.scalar_like(p.mask, 0)});
  if (dims == 3) return b.node("Unsqueeze", {keep, b.ints({1})});
  // Written out, so that a mask which turns out not to be [B x keys] is an error.
  const auto listed = [&](ValueId scalar) { return b.node("Unsqueeze", {scalar, b.ints({0})}); };
  const ValueId shape =
      b.node("Concat", {listed(size_of(b, p.mask, 0)), b.ints({1, 1}), listed(p.keys)}, {{"axis", std::int64_t{0}}});
  return b.node("Reshape", {keep, shape}, {{"allowzero", std::int64_t{1}}});
}

}  // namespace

ValueId size_of(NodeBuilder& b, ValueId v, std::int64_t axis) {
  return b.node("Gather", {b.node("Shape", {v}), b.constant(Tensor::scalar<std::int64_t>(axis))});
}

ValueId join_heads(NodeBuilder& b, ValueId v) {
  if (const auto s = b.shape(v); s && s->rank() == 4) return reshaped(b, v, Shape{(*s)[0], (*s)[1], (*s)[2] * (*s)[3]});
  const ValueId sizes = b.node("Shape", {v}), outer = b.node("Slice", {sizes, b.ints({0}), b.ints({2})});
  const auto size = [&](std::int64_t axis) { return b.node("Gather", {sizes, b.ints({axis})}); };
  const ValueId shape = b.node("Concat", {outer, b.node("Mul", {size(2), size(3)})}, {{"axis", std::int64_t{0}}});
  return b.node("Reshape", {v, shape}, {{"allowzero", std::int64_t{1}}});
}

ValueId merge_heads(NodeBuilder& b, ValueId v) {
  return join_heads(b, b.node("Transpose", {v}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}}));
}

ValueId split_heads(NodeBuilder& b, ValueId v, std::int64_t heads) {
  const Attributes swap{{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}};
  if (const auto s = b.shape(v); s && s->rank() == 3) {
    check((*s)[2] % heads == 0, "operand ", *s, " does not hold ", heads, " equal heads");
    return b.node("Transpose", {reshaped(b, v, Shape{(*s)[0], (*s)[1], heads, (*s)[2] / heads})}, swap);
  }
  const ValueId sizes = b.node("Shape", {v}), outer = b.node("Slice", {sizes, b.ints({0}), b.ints({2})});
  const ValueId width = b.node("Div", {b.node("Gather", {sizes, b.ints({2})}), b.ints({heads})});
  const ValueId shape = b.node("Concat", {outer, b.ints({heads}), width}, {{"axis", std::int64_t{0}}});
  return b.node("Transpose", {b.node("Reshape", {v, shape}, {{"allowzero", std::int64_t{1}}})}, swap);
}

ValueId added_to_scores(NodeBuilder& b, const Padding& p) {
  return b.node("Where", {kept(b, p), b.scalar_like(p.q, 0), b.scalar_like(p.q, p.hidden)});
}

}  // namespace tessera
