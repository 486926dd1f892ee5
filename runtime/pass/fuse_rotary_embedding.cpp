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
    .near_misses =
        [](const Graph& g) {
          return near_misses(g, rotation, {"Sub", "Neg"});
        },
};

}  // namespace tessera
