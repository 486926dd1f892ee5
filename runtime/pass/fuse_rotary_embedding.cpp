#include "runtime/op/reshaped.h"
#include "runtime/pass/rotation.h"

namespace tessera {
namespace {

// RotaryEmbedding takes half a table; of a wide one the first entry of each pair.
ValueId table(Edit& edit, const Rotation& c, ValueId t) {
  if (c.wide) {
    const std::int64_t end = c.interleaved ? 2 * c.half : c.half, step = c.interleaved ? 2 : 1;
    t = edit.node("Slice", {t, edit.ints({0}), edit.ints({end}), edit.ints({-1}), edit.ints({step})});
  }
  if (c.table_batch == c.batch) return reshaped(edit, t, Shape{c.batch, c.tokens, c.half});
  return reshaped(edit, t, Shape{c.tokens, c.half});
}

ValueId write(Edit& edit, const Rotation& c) {
  const Shape result = *edit.shape(c.result);
  const Shape shape =
      c.heads_first ? Shape{c.batch, c.heads, c.tokens, 2 * c.half} : Shape{c.batch, c.tokens, c.heads * 2 * c.half};
  std::vector<ValueId> in{reshaped(edit, c.x, shape), table(edit, c, c.cos), table(edit, c, c.sin)};
  if (c.table_batch != c.batch) {  // one table for all: read by position
    std::vector<std::int64_t> positions(static_cast<std::size_t>(c.batch * c.tokens));
    for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int64_t>(i) % c.tokens;
    in.push_back(edit.constant(Tensor::vector<std::int64_t>(positions).reshaped({c.batch, c.tokens})));
  }
  Attributes attributes{{"interleaved", std::int64_t{c.interleaved}}};
  if (!c.heads_first) attributes.emplace("num_heads", c.heads);
  return reshaped(edit, edit.node("RotaryEmbedding", std::move(in), std::move(attributes)), result);
}

}  // namespace

const PassDef fuse_rotary_embedding_pass{
    .name = "fuse_rotary_embedding",
    .doc =
        "Makes one RotaryEmbedding of rotary positions written with Slice, Gather, Split, Concat, ScatterND or Neg, "
        "pairs interleaved or in halves, [B, L, H, D] or [B, H, L, D].",
    .source = "Su et al. 2021, arXiv:2104.09864; exports of diffusers, transformers and Wan2.1",
    .run = [](Graph& g, const Registry& registry) { return replace_matches(g, registry, rotation, write); },
    .examples = {{"x: f32[1x2x4x8], c, s: f32[1x4x4]",
                  "a, b = Split(x, axis=-1, num_outputs=2); "
                  "Concat(Sub(Mul(a, c), Mul(b, s)), Add(Mul(a, s), Mul(b, c)), axis=-1)",
                  "RotaryEmbedding(x, c, s)"},
                 {"x: f32[1x2x4x8], c, s: f32[1x4x4]",
                  "a = Slice(x, i64{0}, i64{8}, i64{-1}, i64{2}); "
                  "b = Slice(x, i64{1}, i64{8}, i64{-1}, i64{2}); "
                  "re = Unsqueeze(Sub(Mul(a, c), Mul(b, s)), i64{-1}); "
                  "im = Unsqueeze(Add(Mul(a, s), Mul(b, c)), i64{-1}); "
                  "Reshape(Concat(re, im, axis=-1), i64{1, 2, 4, 8})",
                  "pairs = Reshape(RotaryEmbedding(x, c, s, interleaved=1), i64{1, 2, 4, 4, 2}, allowzero=1); "
                  "Reshape(pairs, i64{1, 2, 4, 8})"},
                 {"x: f32[1x1x1x4], c, s: f32[1x1x2]",
                  "a = Slice(x, i64{0}, i64{4}, i64{-1}, i64{2}); "
                  "b = Slice(x, i64{1}, i64{4}, i64{-1}, i64{2}); "
                  "re = Sub(Mul(a, c), Mul(b, s)); im = Add(Mul(a, s), Mul(b, c)); "
                  "y = ScatterND(f32{{{{0, 0, 0, 0}}}}, i64{{{{{0, 0, 0, 0}, {0, 0, 0, 2}}}}}, re); "
                  "ScatterND(y, i64{{{{{0, 0, 0, 1}, {0, 0, 0, 3}}}}}, im)",
                  "RotaryEmbedding(x, c, s, interleaved=1)"},
                 {"x: f32[1x2x4x8], c, s: f32[1x4x4]",
                  "a, b = Split(x, axis=-1, num_outputs=2); "
                  "C = Concat(c, c, axis=-1); S = Concat(s, s, axis=-1); "
                  "Add(Mul(x, C), Mul(Concat(Neg(b), a, axis=-1), S))",
                  "C = Concat(c, c, axis=-1); S = Concat(s, s, axis=-1); "
                  "RotaryEmbedding(x, Slice(C, i64{0}, i64{4}, i64{-1}, i64{1}), "
                  "Slice(S, i64{0}, i64{4}, i64{-1}, i64{1}))"}},
    .near_misses =
        [](const Graph& g) {
          return near_misses(g, rotation, {"Sub", "Neg"});
        },
};

}  // namespace tessera
