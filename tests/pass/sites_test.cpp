// What a policy may ask of the attention sites: names, roles, layers, masks, sizes.
#include "runtime/pass/sites.h"

#include <gmock/gmock.h>

#include "runtime/load/load.h"
#include "runtime/pass/find_attention.h"
#include "runtime/pass/passes.h"
#include "tests/support/exported_attention.h"

namespace tessera {
namespace {

using A = ExportedAttention;
using testing::ElementsAre;

// A block on [B, L, 12]: projections by weights, attention of x to `context`, result added to x.
class Blocks : public ExportedAttention {
 public:
  using ExportedAttention::ExportedAttention;
  ValueId linear(ValueId x) {
    std::vector<double> w(144);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<double>((i * 7 + ++seed_) % 13) / 13 - 0.5;
    return node("MatMul", {x, build.constant(converted(Tensor::of<double>({12, 12}, w), DType::f32))});
  }
  ValueId attend(const std::string& name, ValueId q, ValueId k, ValueId v) {
    const ValueId p = named(name, "Softmax", {scaled(product(to_heads(q), to_heads(k)), 0.5)});
    return from_heads(node("MatMul", {p, to_heads(v)}));
  }
  ValueId block(const std::string& name, ValueId x, ValueId context) {
    return node("Add", {x, attend(name, linear(x), linear(context), linear(context))});
  }

 private:
  std::size_t seed_ = 0;
};

std::vector<AttentionSite> sites_of(const Graph& g) { return attention_sites(RewrittenAttention(g).found); }

std::vector<std::string> roles_in(const Graph& found) {
  std::vector<std::string> out;
  for (const auto& s : attention_sites(found)) out.push_back(concat(name(s.role), " ", s.layer));
  return out;
}
std::vector<std::string> roles(const Graph& g) { return roles_in(RewrittenAttention(g).found); }

TEST(AttentionSites, count_layers_by_role_and_name_nodes_by_their_path) {
  Blocks b;
  ValueId x = b.sized_input("x", {"B", "L", "12"});
  const ValueId context = b.sized_input("context", {"B", "M", "12"});
  x = b.block("/blocks.0/attn1/Softmax", x, x);
  x = b.block("/blocks.0/attn2/Softmax_1", x, context);
  x = b.block("/Softmax_2", x, x);
  x = b.block("node_softmax_7", x, context);
  x = b.block("core", x, x);
  b.output("y", x);
  EXPECT_THAT(roles(b.g), ElementsAre("self 0", "cross 0", "self 1", "cross 1", "self 2"));
  std::vector<std::string> names;
  for (const auto& s : sites_of(b.g)) names.push_back(s.name);
  EXPECT_THAT(names, ElementsAre("blocks.0.attn1.attention.0", "blocks.0.attn2.attention.1", "attention.2",
                                 "attention.3", "core.attention.4"));
  const auto second = sites_of(b.g)[1];
  EXPECT_EQ(concat(second.batch, " ", second.q_heads, " ", second.kv_heads, " ", second.head_dim, " ", second.v_dim,
                   " ", second.tokens, " ", second.keys),
            "2 3 3 4 4 5 7");
}

TEST(AttentionSites, are_cross_where_lengths_agree_but_sources_do_not) {
  Blocks b;
  const ValueId x = b.sized_input("x", {"B", "L", "12"}), context = b.sized_input("context", {"B", "L", "12"});
  b.output("y", b.block("a/Softmax", x, context));
  EXPECT_THAT(roles(b.g), ElementsAre("cross 0"));
}

TEST(AttentionSites, are_cross_where_the_context_is_what_an_earlier_attention_saw) {  // an encoder and a decoder
  Blocks b;
  const ValueId context = b.linear(b.sized_input("x", {"B", "M", "12"}));
  const ValueId queries = b.sized_input("queries", {"B", "L", "12"});
  const ValueId once = b.attend("a/Softmax", queries, context, context);
  b.output("y", b.attend("b/Softmax", once, b.linear(context), context));
  EXPECT_THAT(roles(b.g), ElementsAre("cross 0", "cross 1"));
}

TEST(AttentionSites, are_self_through_norms_rotation_and_modulation) {
  Blocks b;
  ValueId x = b.sized_input("x", {"B", "L", "12"});
  const ValueId time = b.sized_input("time", {"B", "1", "12"}), angle = b.sized_input("angle", {"1", "L", "12"});
  x = b.node("Mul", {b.node("LayerNormalization", {x, b.constant("{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}")}), time});
  const auto rotated = [&](ValueId v) { return b.node("Mul", {b.linear(v), angle}); };
  b.output("y", b.attend("a/Softmax", rotated(x), rotated(x), b.linear(x)));
  EXPECT_THAT(roles(b.g), ElementsAre("self 0"));
}

// Weights of a Linear, however they are given, are no tokens, though they may be larger.
TEST(AttentionSites, are_self_through_weights_that_are_not_folded) {
  for (const std::string form : {"input", "transposed input", "sum"}) {
    Blocks b;
    ValueId x = b.sized_input("x", {"B", "L", "12"});
    const auto linear = [&](const std::string& name) {
      ValueId w = form == "sum" ? b.build.constant(Tensor::zeros(DType::f32, {12, 12}), name) : b.input(name, {12, 12});
      if (form == "transposed input") w = b.transpose(w, {1, 0});
      if (form == "sum") w = b.node("Add", {w, b.node("Neg", {w})});
      return b.node("MatMul", {x, w});
    };
    for (const std::string name : {"a", "b"})
      x = b.node("Add", {x, b.attend(name, linear(name + "q"), linear(name + "k"), linear(name + "v"))});
    b.output("y", x);
    Graph g = b.g;  // shapes are found, weights are left as they are spelled
    fold_constants(g, builtin_registry(), {"aq", "ak", "av", "bq", "bk", "bv"});
    find_attention(g, builtin_registry());
    EXPECT_THAT(roles_in(g), ElementsAre("self 0", "self 1")) << form;
  }
}

// Positions and angles that are as large as q and k are inputs beside the tokens.
TEST(AttentionSites, are_self_beside_positions_as_large_as_the_tokens) {
  for (const bool rotary : {true, false}) {
    Blocks b;
    ValueId x = b.sized_input("x", {"B", "L", "12"});
    const ValueId angle = b.sized_input("angle", {"B", "L", "12"});
    const ValueId cos = b.node("Cos", {angle}), sin = b.node("Sin", {angle});
    const auto placed = [&](ValueId v) {
      if (!rotary) return b.linear(b.node("Add", {v, angle}));
      const ValueId q = b.linear(v);
      return b.node("Add", {b.node("Mul", {q, cos}), b.node("Mul", {b.node("Neg", {q}), sin})});
    };
    for (const std::string name : {"a", "b"}) x = b.node("Add", {x, b.attend(name, placed(x), placed(x), b.linear(x))});
    const ValueId context = b.sized_input("context", {"B", "L", "12"});
    b.output("y", b.attend("c", placed(x), placed(context), b.linear(context)));
    EXPECT_THAT(roles(b.g), ElementsAre("self 0", "self 1", "cross 0")) << rotary;
  }
}

TEST(AttentionSites, are_cross_where_an_attention_stands_between) {  // x + attention(x) asks what x was
  Blocks b;
  const ValueId x = b.sized_input("x", {"B", "L", "12"}), more = b.block("a", x, x);
  b.output("y", b.block("b", more, x));
  EXPECT_THAT(roles(b.g), ElementsAre("self 0", "cross 0"));
}

TEST(AttentionSites, are_self_through_a_cache_but_not_beside_a_second_source) {
  for (const bool cache : {true, false}) {
    Blocks b;
    const ValueId x = b.sized_input("x", {"B", "L", "12"});
    const auto more = [&](const char* name) {
      const ValueId past = b.sized_input(name, {"B", "3", "M", "4"});
      return cache ? past : b.node("Relu", {past});  // computed: another source
    };
    const auto join = [&](ValueId past) {
      return b.node("Concat", {past, b.to_heads(b.linear(x))}, {{"axis", std::int64_t{2}}});
    };
    const ValueId k = join(more("past_k")), v = join(more("past_v"));
    const ValueId p = b.named("a/Softmax", "Softmax", {b.product(b.to_heads(b.linear(x)), k)});
    b.output("y", b.from_heads(b.node("MatMul", {p, v})));
    EXPECT_THAT(roles(b.g), ElementsAre(cache ? "self 0" : "cross 0"));
    EXPECT_EQ(sites_of(b.g)[0].keys, A::queries + A::keys);
  }
}

TEST(AttentionSites, are_self_where_two_streams_attend_to_each_other_as_one) {
  Blocks b;
  const ValueId text = b.sized_input("text", {"B", "M", "12"}), image = b.sized_input("image", {"B", "L", "12"});
  const auto joined = [&] { return b.node("Concat", {b.linear(text), b.linear(image)}, {{"axis", std::int64_t{1}}}); };
  const ValueId q = joined(), k = joined(), v = joined();
  b.output("y", b.attend("a/Softmax", q, k, v));
  EXPECT_THAT(roles(b.g), ElementsAre("self 0"));
}

TEST(AttentionSites, know_what_their_masks_are) {
  const auto masked = [](const std::vector<std::string>& dims, DType t, bool causal) {
    A a;
    a.projections();
    Attributes attributes{{"is_causal", std::int64_t{causal}}};
    std::vector<ValueId> in{a.to_heads(a.q), a.to_heads(a.k), a.to_heads(a.v)};
    if (!dims.empty()) in.push_back(a.sized_input("m", dims, t));
    a.output("y", a.node("Attention", in, attributes));
    const auto site = sites_of(a.g)[0];
    return concat(name(site.mask), site.causal ? " and causal" : "");
  };
  EXPECT_EQ(masked({}, DType::f32, false), "none");
  EXPECT_EQ(masked({}, DType::f32, true), "causal and causal");
  EXPECT_EQ(masked({"B", "1", "1", "M"}, DType::boolean, false), "padding");
  EXPECT_EQ(masked({"B", "1", "1", "M"}, DType::boolean, true), "padding and causal");
  EXPECT_EQ(masked({"1", "M"}, DType::boolean, false), "padding");
  EXPECT_EQ(masked({"L", "M"}, DType::boolean, false), "keep");
  EXPECT_EQ(masked({"B", "3", "1", "M"}, DType::boolean, false), "keep");
  EXPECT_EQ(masked({"B", "1", "1", "M"}, DType::f32, false), "bias");
}

TEST(AttentionSites, of_the_example_models) {
  const auto sites = [](const char* model, const Binding& binding) {
    const Graph g = load(concat(TESSERA_SOURCE_DIR "/graphs/", model, "/model.onnx"), builtin_registry());
    std::string text;
    for (const auto& s : attention_sites(graph_after(Stage::sites, g, binding, builtin_registry())))
      text += concat(s.name, " ", name(s.role), " ", s.layer, " ", name(s.mask), " ", s.q_heads, "x", s.head_dim, " ",
                     s.tokens, ":", s.keys, "\n");
    return text;
  };
  EXPECT_EQ(sites("wan_dit", {}),
            "blocks.0.self_attn.attention.0 self 0 none 3x32 512:512\nblocks.0.cross_attn.attention.1 cross 0 none "
            "3x32 512:32\n"
            "blocks.1.self_attn.attention.2 self 1 none 3x32 512:512\nblocks.1.cross_attn.attention.3 cross 1 none "
            "3x32 512:32\n");
}

}  // namespace
}  // namespace tessera
