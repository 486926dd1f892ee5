#include "ops/attention/by_head.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const auto node = by_head::node_of(c);
  node->forward_shape(c, {node->selection_size()});
}

void kernel(const KernelContext& k) { k.state<AttentionNode>().forward(k); }

std::vector<ValueId> gradient(GradContext& g) { return attention_node_gradient(g, by_head::ports); }

}  // namespace

extern constinit const OpDef op_by_head = define({
    .name = "by_head",
    .domain = "tessera.attention",
    .doc = "Attention whose heads go by several methods: query head h by methods[head_method[h]], each written as "
           "\"vsa tile=[4, 4, 4] sparsity=0.875\", texts bare or in quotes. Each method is called on views of the "
           "shared tensors, for runs of "
           "heads; groups of query heads that share keys may be split. `gate` is read by the methods that have one.",
    .source = "tessera.attention::dense, and the methods named",
    .inputs = {{"Q", "T1", "as dense"},
               {"K", "T1", "as dense"},
               {"V", "T1", "as dense"},
               {"attn_mask", "U", "refused", Presence::optional},
               {"past_key", "T1", "refused", Presence::optional},
               {"past_value", "T1", "refused", Presence::optional},
               {"nonpad_kv_seqlen", "i64", "refused", Presence::optional},
               {"gate", "T1", "shape of Y; absent: no coarse terms", Presence::optional},
               {"selection", "i32", "freezes all choices: an output `selection`", Presence::optional}},
    .outputs = {{"Y", "T1", "as dense"},
                {"present_key", "T1", "[0]: not given", Presence::optional},
                {"present_value", "T1", "[0]: not given", Presence::optional},
                {"qk_matmul_output", "T1", "[0]: not given", Presence::optional},
                {"lse", "L", "[B x Hq x Lq]: -inf where no key is attended", Presence::optional},
                {"density", "f32", "[B x Hq]: kept pairs / all pairs", Presence::optional},
                {"selection", "i32",
                 "[N]: the selections of the methods one after the other, in the order of `methods`, those of one "
                 "method by runs of ascending heads",
                 Presence::optional}},
    .attributes = by_head::attributes,
    .types = {{"T1", dtypes::floats}, {"U", dtypes::floats | dtypes::boolean}, {"L", set_of(Types<float, double>{})}},
    .dtype = attention_node_dtype,
    .shape = shape,
    .flops = by_head::flops,
    .prepare = by_head::prepare,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{{1}}, {{1}}}}; {{{{0}, {1.0986123}}, {{0}, {0}}}}; {{{{1}, {5}}, {{2}, {4}}}}; "
                 "methods=[\"dense\"]; head_method=[0, 0] -> {{{{4}}, {{3}}}}; _; _; _; {{{1.3862944}, {0.6931472}}}; "
                 "{{1, 1}}; i32[0]{}",
                 // Two query heads share the keys of one; each goes by an entry of its own.
                 "{{{{1}}, {{0}}}}; {{{{0}, {1.0986123}}}}; {{{{1}, {5}}}}; methods=[\"dense\", \"dense\"]; "
                 "head_method=[1, 0] -> {{{{4}}, {{3}}}}"},
});

}  // namespace tessera
