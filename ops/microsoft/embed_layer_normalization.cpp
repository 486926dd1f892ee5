#include "ops/microsoft/heads.h"

namespace tessera {
namespace {

constexpr int input_ids = 0, segment_ids = 1, words = 2, positions = 3, segments = 4, gamma = 5, beta = 6, mask = 7,
              position_ids = 8;

// The first rows of the table of positions, or those that position_ids names.
ValueId position_rows(RewriteContext& c) {
  NodeBuilder& b = c.build;
  if (c.has(position_ids)) return b.node("Gather", {c.in[positions], c.in[position_ids]});
  const ValueId length = b.node("Unsqueeze", {size_of(b, c.in[input_ids], 1), b.ints({0})});
  return b.node("Slice", {c.in[positions], b.ints({0}), length, b.ints({0})});
}

// How many tokens of each sequence the mask keeps; 0 where there is no mask.
ValueId counts(RewriteContext& c) {
  NodeBuilder& b = c.build;
  if (!c.has(mask)) {
    const ValueId batch = b.node("Unsqueeze", {size_of(b, c.in[input_ids], 0), b.ints({0})});
    return b.node("Expand", {b.constant(Tensor::scalar<std::int32_t>(0)), batch});
  }
  const ValueId kept = b.node("Equal", {c.in[mask], b.scalar_like(c.in[mask], 1)});
  return b.node("ReduceSum", {b.cast(kept, DType::i32), b.ints({1})}, {{"keepdims", std::int64_t{0}}});
}

void expand(RewriteContext& c) {
  NodeBuilder& b = c.build;
  check(c.has(segment_ids) == c.has(segments), "segment_ids and segment_embedding must be given together");
  ValueId sum = b.node("Add", {b.node("Gather", {c.in[words], c.in[input_ids]}), position_rows(c)});
  if (c.has(segments)) sum = b.node("Add", {sum, b.node("Gather", {c.in[segments], c.in[segment_ids]})});
  const ValueId y =
      b.node("LayerNormalization", {sum, c.in[gamma], c.in[beta]}, {{"epsilon", c.attr().real("epsilon")}});
  c.become({y, c.wants(1) ? counts(c) : ValueId::none, sum});
}

}  // namespace

extern constinit const OpDef op_embed_layer_normalization = define({
    .name = "EmbedLayerNormalization",
    .domain = "com.microsoft",
    .doc = "LayerNormalization of the embeddings of words, positions and segments, summed.",
    .source = "ONNX Runtime contrib operators, com.microsoft.EmbedLayerNormalization-1",
    .inputs = {{"input_ids", "i32", "[B x L]: rows of word_embedding"},
               {"segment_ids", "i32", "[B x L]: rows of segment_embedding", Presence::optional},
               {"word_embedding", "T", "[words x C]"},
               {"position_embedding", "T", "[positions x C]"},
               {"segment_embedding", "T", "[segments x C]", Presence::optional},
               {"gamma", "T", "[C]"},
               {"beta", "T", "[C]"},
               {"mask", "i32", "[B x L]: 1 where a token is kept", Presence::optional},
               {"position_ids", "i32", "[B x L] or [1 x L]: rows of position_embedding; default 0, 1, ...",
                Presence::optional}},
    .outputs = {{"output", "T", "[B x L x C]"},
                {"mask_index", "i32", "[B]: tokens that mask keeps; 0 without a mask"},
                {"embedding_sum", "T", "[B x L x C]"}},
    .attributes = {{"epsilon", AttributeType::real, 1e-12f, "added to the variance"},
                   {"mask_index_type", AttributeType::integer, 0, "says nothing that mask does not"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
