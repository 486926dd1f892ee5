#include "ops/attention/by_head.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const auto node = by_head::node_of(c);
  node->backward_shape(c, {node->selection_size()});
}

void kernel(const KernelContext& k) { k.state<AttentionNode>().backward(k); }

// Five products in place of two.
double flops(const ShapeContext& c) { return 2.5 * by_head::flops(c); }

}  // namespace

extern constinit const OpDef op_by_head_grad = define({
    .name = "by_headGrad",
    .domain = "tessera.attention",
    .doc = "Gradients of by_head from its results, the choices of its methods held constant. Gradients of keys that "
           "several methods share are added.",
    .source = "tessera.attention::denseGrad, and the gradients of the methods named",
    .inputs = {{"Q", "T1", "as by_head"},
               {"K", "T1", "as by_head"},
               {"V", "T1", "as by_head"},
               {"attn_mask", "U", "refused", Presence::optional},
               {"past_key", "T1", "refused", Presence::optional},
               {"past_value", "T1", "refused", Presence::optional},
               {"nonpad_kv_seqlen", "i64", "refused", Presence::optional},
               {"gate", "T1", "as by_head", Presence::optional},
               {"Y", "T1", "output of by_head"},
               {"lse", "L", "output of by_head"},
               {"dY", "T1", "shape of Y"},
               {"dlse", "L", "shape of lse; absent: zeros", Presence::optional},
               {"selection", "i32", "output of by_head"}},
    .outputs = {{"dQ", "T1", "shape of Q"},
                {"dK", "T1", "shape of K"},
                {"dV", "T1", "shape of V"},
                {"dgate", "T1", "shape of gate; empty without one", Presence::optional}},
    .attributes = by_head::attributes,
    .types = {{"T1", dtypes::floats}, {"U", dtypes::floats | dtypes::boolean}, {"L", set_of(Types<float, double>{})}},
    .shape = shape,
    .flops = flops,
    .prepare = by_head::prepare,
    .kernel = kernel,
    .gradient = gradient_missing,
    .examples = {"{{{{0}}}}; {{{{1}, {2}}}}; {{{{3}, {5}}}}; _; _; _; _; _; {{{{4}}}}; {{{0.6931472}}}; {{{{2}}}}; _; "
                 "i32[0]{}; methods=[\"dense\"]; head_method=[0] -> {{{{1}}}}; {{{{0}, {0}}}}; {{{{1}, {1}}}}"},
});

}  // namespace tessera
