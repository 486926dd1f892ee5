// Every form in which exporters write attention becomes one node and nothing around it, with the same answers.
// The comments name the exporters.
#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "runtime/train/differentiate.h"
#include "tests/support/compare.h"
#include "tests/support/exported_attention.h"
#include "tests/support/interpret.h"

namespace tessera {
namespace {

using A = ExportedAttention;
using Ints = A::Ints;

const double usual = 1 / std::sqrt(static_cast<double>(A::dim));

struct Form {
  std::string name;
  std::function<void(A&)> write;
  int others = 0;  // nodes beside the attention that have to stay
};
std::ostream& operator<<(std::ostream& o, const Form& f) { return o << f.name; }

// [B, H, L, D] operands, MatMul, something on the scores, Softmax, MatMul, back to [B, L, H*Dv].
void around(A& a, const std::function<ValueId(ValueId)>& scores, double q_scale = 1, double k_scale = 1) {
  a.projections();
  ValueId q = a.to_heads(a.q), kt = a.transpose(a.split_heads(a.k), {0, 2, 3, 1});
  if (q_scale != 1) q = a.scaled(q, q_scale);
  if (k_scale != 1) kt = a.scaled(kt, k_scale);
  const ValueId p = a.softmax(scores(a.node("MatMul", {q, kt})));
  a.output("y", a.from_heads(a.node("MatMul", {p, a.to_heads(a.v)})));
}

void three_dimensional(A& a) {  // old diffusers: baddbmm(zeros, q, k, beta=0, alpha=scale)
  a.projections();
  const auto flat = [&](ValueId x, std::int64_t d) {
    return a.node("Reshape", {a.to_heads(x), a.build.ints({-1, x == a.q ? A::queries : A::keys, d})});
  };
  const ValueId q = flat(a.q, A::dim), k = flat(a.k, A::dim), v = flat(a.v, A::v_dim);
  const ValueId s = a.scaled(a.node("MatMul", {q, a.transpose(k, {0, 2, 1})}), usual);
  const ValueId shape = a.dims({a.dim_of(q, 0), a.dim_of(q, 1), a.dim_of(k, 1)});
  const ValueId zeros = a.scaled(a.node("ConstantOfShape", {shape}), 0);
  const ValueId y = a.node("MatMul", {a.softmax(a.node("Add", {zeros, s})), v});
  a.output("y", a.from_heads(a.reshape(y, {-1, A::heads, A::queries, A::v_dim})));
}

void einsum(A& a) {  // Wan's T5, flax
  a.projections();
  const ValueId s =
      a.node("Einsum", {a.split_heads(a.q), a.split_heads(a.k)}, {{"equation", std::string("bihd,bjhd->bhij")}});
  const ValueId y = a.node("Einsum", {a.softmax(a.scaled(s, usual)), a.split_heads(a.v)},
                           {{"equation", std::string("bhij,bjhd->bihd")}});
  a.output("y", a.flatten_heads(y));
}

void einsum_values_first(A& a) {
  a.projections();
  const ValueId s =
      a.node("Einsum", {a.to_heads(a.k), a.to_heads(a.q)}, {{"equation", std::string("bhmc,bhnc->bhnm")}});
  const ValueId y = a.node("Einsum", {a.to_heads(a.v), a.softmax(s)}, {{"equation", std::string("bhmc,bhnm->bhnc")}});
  a.output("y", a.from_heads(y));
}

void packed(A& a) {  // timm: one Linear for q, k, v; q scaled
  const ValueId x = a.sized_input("x", {"B", "L", concat(3 * A::heads * A::dim)});
  const ValueId five = a.transpose(a.reshape(x, {0, 0, 3, A::heads, A::dim}), {2, 0, 3, 1, 4});
  const auto parts = a.build.nodes("Split", {five, a.build.ints({1, 1, 1})}, {{"axis", std::int64_t{0}}}, 3);
  const auto part = [&](std::size_t i) { return a.node("Squeeze", {parts[i], a.build.ints({0})}); };
  const ValueId p = a.softmax(a.product(a.scaled(part(0), usual), part(1)));
  a.output("y", a.from_heads(a.node("MatMul", {p, part(2)})));
}

void gathered(A& a) {  // newer timm: qkv.unbind(0)
  const ValueId x = a.sized_input("x", {"B", "L", concat(3 * A::heads * A::dim)});
  const ValueId five = a.transpose(a.reshape(x, {0, 0, 3, A::heads, A::dim}), {2, 0, 3, 1, 4});
  const auto part = [&](std::int64_t i) {
    return a.node("Gather", {five, a.build.constant(Tensor::scalar(i))}, {{"axis", std::int64_t{0}}});
  };
  const ValueId p = a.softmax(a.product(part(0), part(1)));
  a.output("y", a.from_heads(a.node("MatMul", {p, part(2)})));
}

void sequence_first(A& a) {  // nn.MultiheadAttention: [L, B, 3*E], heads folded into the batch
  const std::int64_t e = A::heads * A::dim, bh = A::batch * A::heads;
  const ValueId x = a.sized_input("x", {"L", "B", concat(3 * e)});
  const auto part = [&](std::int64_t i) {
    const ValueId s = a.node("Slice", {x, a.build.ints({i * e}), a.build.ints({(i + 1) * e}), a.build.ints({-1})});
    return a.reshape(s, {-1, bh, A::dim});
  };
  const ValueId q = a.node("Div", {a.transpose(part(0), {1, 0, 2}), a.scalar(2)}), k = a.transpose(part(1), {1, 2, 0}),
                v = a.transpose(part(2), {1, 0, 2});
  const ValueId mask = a.sized_input("mask", {concat(bh), "L", "L"});
  const ValueId s = a.node("Add", {a.scaled(a.node("MatMul", {q, k}), 1), mask});
  const ValueId y = a.transpose(a.node("MatMul", {a.softmax(s), v}), {1, 0, 2});
  a.output("y", a.reshape(y, {-1, e}));
}

void single_head(A& a) {  // the attention of a VAE: [B, C, H*W] from 1x1 convolutions
  const ValueId x = a.sized_input("x", {"B", "1", concat(3 * A::dim), "L"});
  const ValueId t = a.transpose(x, {0, 1, 3, 2});
  const auto part = [&](std::int64_t i) {
    return a.node("Slice", {t, a.build.ints({i * A::dim}), a.build.ints({(i + 1) * A::dim}), a.build.ints({3})});
  };
  const ValueId s = a.node("MatMul", {part(0), a.transpose(part(1), {0, 1, 3, 2})});
  a.output("y", a.transpose(a.node("MatMul", {a.softmax(s), part(2)}), {0, 2, 1, 3}));
}

void channels_first(A& a) {  // the first latent diffusion: bmm(v, p^T) on [B, C, L]
  const auto in = [&](const char* name) { return a.sized_input(name, {"B", concat(A::dim), "L"}); };
  const ValueId q = in("q"), k = in("k"), v = in("v");
  const ValueId p = a.softmax(a.scaled(a.node("MatMul", {a.transpose(q, {0, 2, 1}), k}), usual));
  a.output("y", a.node("MatMul", {v, a.transpose(p, {0, 2, 1})}));
}

void dynamic_scale(A& a) {  // q / q.shape[-1] ** 0.5, as a graph
  a.projections();
  const ValueId q = a.to_heads(a.q);
  const ValueId d = a.node("Cast", {a.dim_of(q, 3)}, {{"to", std::int64_t{1}}});
  const ValueId s = a.node("Mul", {a.product(q, a.to_heads(a.k)), a.node("Pow", {d, a.scalar(-0.5)})});
  a.output("y", a.from_heads(a.node("MatMul", {a.softmax(s), a.to_heads(a.v)})));
}

void both_scaled_by_roots(A& a) {  // torch >= 2: both operands by the root of the scale
  a.projections();
  const ValueId q = a.to_heads(a.q);
  const ValueId last = a.node("Slice", {a.node("Shape", {q}), a.build.ints({-1}), a.build.ints({1 << 30})});
  const ValueId d = a.node("Cast", {last}, {{"to", std::int64_t{1}}});
  const ValueId root = a.node("Sqrt", {a.node("Div", {a.scalar(1), a.node("Sqrt", {d})})});
  const ValueId kt = a.transpose(a.split_heads(a.k), {0, 2, 3, 1});
  const ValueId s = a.node("MatMul", {a.node("Mul", {q, root}), a.node("Mul", {kt, root})});
  a.output("y", a.from_heads(a.node("MatMul", {a.softmax(s), a.to_heads(a.v)})));
}

void keys_reshaped(A& a) {  // dynamo: K through 3-D to swap its last axes
  a.projections();
  const ValueId k3 = a.node("Reshape", {a.to_heads(a.k), a.build.ints({-1, A::keys, A::dim})});
  const ValueId kt = a.reshape(a.transpose(k3, {0, 2, 1}), {-1, A::heads, A::dim, A::keys});
  const ValueId p = a.softmax(a.node("MatMul", {a.to_heads(a.q), a.scaled(kt, usual)}));
  a.output("y", a.from_heads(a.node("MatMul", {p, a.to_heads(a.v)})));
}

void key_cache(A& a) {  // GPT with past and present
  const auto past = [&](const char* name) { return a.sized_input(name, {"B", "3", "M", "4"}); };
  const auto fresh = [&](const char* name) { return a.to_heads(a.sized_input(name, {"B", "L", "12"})); };
  const auto join = [&](ValueId x, ValueId y) { return a.node("Concat", {x, y}, {{"axis", std::int64_t{2}}}); };
  const ValueId k = join(past("past_k"), fresh("k")), v = join(past("past_v"), fresh("v"));
  const ValueId p = a.softmax(a.node("Div", {a.product(fresh("q"), k), a.scalar(2)}));
  a.output("y", a.from_heads(a.node("MatMul", {p, v})));
  a.output("present_k", k);
  a.output("present_v", v);
}

void grouped_queries(A& a) {  // Llama: repeat_kv
  const ValueId q = a.sized_input("q", {"B", "L", "24"}), k = a.sized_input("k", {"B", "M", "12"}),
                v = a.sized_input("v", {"B", "M", "12"});
  const auto repeated = [&](ValueId x) {
    const ValueId five = a.node("Unsqueeze", {a.to_heads(x), a.build.ints({2})});
    const auto number = [&](std::int64_t i) { return a.build.constant(Tensor::scalar(i)); };
    const ValueId wide =
        a.node("Expand", {five, a.dims({a.dim_of(x, 0), number(3), number(2), a.dim_of(x, 1), number(4)})});
    return a.node("Reshape", {wide, a.dims({a.dim_of(x, 0), number(6), a.dim_of(x, 1), number(4)})});
  };
  const ValueId q4 = a.transpose(a.split_heads(q, 6), {0, 2, 1, 3});
  const ValueId p = a.softmax(a.scaled(a.product(q4, repeated(k)), usual));
  a.output("y", a.from_heads(a.node("MatMul", {p, repeated(v)})));
}

void one_key_head(A& a) {  // multi-query attention by broadcasting
  const ValueId q = a.sized_input("q", {"B", "L", "12"}), k = a.sized_input("k", {"B", "1", "M", "4"}),
                v = a.sized_input("v", {"B", "1", "M", "6"});
  const ValueId p = a.softmax(a.product(a.to_heads(q), k));
  a.output("y", a.from_heads(a.node("MatMul", {p, v})));
}

void onnx_operator(A& a) {  // opset 23, with the layouts around it
  a.projections();
  a.output("y", a.from_heads(a.node("Attention", {a.to_heads(a.q), a.to_heads(a.k), a.to_heads(a.v)})));
}

void onnx_operator_flat(A& a) {
  a.projections();
  const auto round_trip = [&](ValueId x) { return a.flatten_heads(a.transpose(a.to_heads(x), {0, 2, 1, 3})); };
  const ValueId y = a.node("Attention", {round_trip(a.q), a.k, a.v},
                           {{"q_num_heads", A::heads}, {"kv_num_heads", A::heads}, {"is_causal", std::int64_t{1}}});
  a.output("y", a.transpose(a.split_heads(y), {1, 0, 2, 3}));
}

void softcapped(A& a) {  // Gemma
  around(a, [&](ValueId s) {
    const ValueId t = a.node("Tanh", {a.node("Div", {a.scaled(s, usual), a.scalar(5)})});
    return a.scaled(t, 5);
  });
}

void windows(A& a) {  // T windows of tokens beside the batch
  const ValueId x = a.sized_input("x", {"B", "L", "8", "36"});
  const auto part = [&](std::int64_t i) {
    const ValueId s = a.node("Slice", {x, a.build.ints({12 * i}), a.build.ints({12 * i + 12}), a.build.ints({3})});
    return a.transpose(a.reshape(s, {0, 0, 8, 3, 4}), {0, 1, 3, 2, 4});
  };
  const ValueId p = a.softmax(a.node("MatMul", {part(0), a.transpose(part(1), {0, 1, 2, 4, 3})}));
  a.output("y", a.transpose(a.node("MatMul", {p, part(2)}), {0, 1, 3, 2, 4}));
}

void two_dimensional(A& a) {
  const ValueId q = a.sized_input("q", {"L", "4"}), k = a.sized_input("k", {"M", "4"}),
                v = a.sized_input("v", {"M", "6"});
  const ValueId s = a.node("Gemm", {q, k}, {{"transB", std::int64_t{1}}, {"alpha", 0.25f}});
  a.output("y", a.node("MatMul", {a.softmax(s), v}));
}

void half_precision(A& a) {  // F5-TTS: f16 around an f32 softmax
  const auto to = [&](ValueId x, std::int64_t t) { return a.node("Cast", {x}, {{"to", t}}); };
  const auto in = [&](const char* n, const char* l, const char* d) {
    return a.sized_input(n, {"B", "3", l, d}, DType::f16);
  };
  const ValueId hundred = a.build.constant(Tensor::scalar(DType::f32, 2));
  const ValueId s = a.node("Mul", {to(a.product(in("q", "L", "4"), in("k", "M", "4")), 1), hundred});
  a.output("y", a.node("MatMul", {to(a.softmax(s), 10), in("v", "M", "6")}));
}

void joined_streams(A& a) {  // SD3, Flux: text and image tokens in one attention
  const auto joined = [&](const std::string& n) {
    const ValueId text = a.sized_input(n + "_text", {"B", "M", "12"}), image = a.sized_input(n, {"B", "L", "12"});
    return a.node("Concat", {a.to_heads(text), a.to_heads(image)}, {{"axis", std::int64_t{2}}});
  };
  const ValueId q = joined("q"), k = joined("k"), v = joined("v");
  const ValueId y = a.from_heads(a.node("MatMul", {a.softmax(a.product(q, k)), v}));
  a.output("image", a.node("Slice", {y, a.build.ints({7}), a.build.ints({1 << 30}), a.build.ints({1})}));
}

const Form forms[] = {
    {"scores_times_scale", [](A& a) { around(a, [&](ValueId s) { return a.scaled(s, usual); }); }},
    {"scores_over_root", [](A& a) { around(a, [&](ValueId s) {
                                      return a.node("Div", {s, a.scalar(2)});
                                    }); }},
    {"no_scale", [](A& a) { around(a, [](ValueId s) { return s; }); }},
    {"query_scaled",
     [](A& a) {
       around(
           a, [](ValueId s) { return s; }, usual);
     }},
    {"both_scaled",
     [](A& a) {
       around(
           a, [](ValueId s) { return s; }, std::sqrt(usual), std::sqrt(usual));
     }},
    {"scaled_three_times",
     [](A& a) {
       around(
           a, [&](ValueId s) { return a.node("Neg", {a.scaled(s, -3)}); }, 0.5, 0.25);
     }},
    {"three_dimensional", three_dimensional},
    {"einsum", einsum},
    {"einsum_values_first", einsum_values_first},
    {"packed", packed},
    {"gathered", gathered},
    {"sequence_first", sequence_first, 1},
    {"single_head", single_head, 1},
    {"channels_first", channels_first, 4},
    {"dynamic_scale", dynamic_scale},
    {"both_scaled_by_roots", both_scaled_by_roots},
    {"keys_reshaped", keys_reshaped},
    {"key_cache", key_cache, 6},
    {"grouped_queries", grouped_queries},
    {"one_key_head", one_key_head},
    {"onnx_operator", onnx_operator},
    {"onnx_operator_flat", onnx_operator_flat},
    {"softcapped", softcapped},
    {"windows", windows},
    {"two_dimensional", two_dimensional},
    {"half_precision", half_precision},
    {"joined_streams", joined_streams, 16},
};

class AttentionForm : public testing::TestWithParam<Form> {};

TEST_P(AttentionForm, becomes_one_node_with_the_same_answers) {
  for (const bool dynamic : {false, true}) {
    SCOPED_TRACE(dynamic ? "dynamic" : "static");
    A a(dynamic);
    GetParam().write(a);
    const RewrittenAttention r(a.g);
    EXPECT_EQ(r.count("dense"), 1) << reason_of_miss(a.g);
    EXPECT_EQ(r.found.nodes.size(), static_cast<std::size_t>(1 + GetParam().others));
    EXPECT_EQ(r.difference(), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, AttentionForm, testing::ValuesIn(forms),
                         [](const auto& info) { return info.param.name; });

// d(sum of outputs) by way of both graphs.
TEST_P(AttentionForm, has_the_gradients_it_had) {
  A a;
  GetParam().write(a);
  RewrittenAttention r(a.g);
  if (r.inputs.begin()->second.dtype() != DType::f32) return;
  std::vector<std::string> wrt;
  for (const auto& [name, t] : r.inputs) wrt.push_back(name);
  const std::string y = r.plain.outputs[0].name;
  const auto plain = differentiate(r.plain, y, wrt, builtin_registry()),
             found = differentiate(r.found, y, wrt, builtin_registry());
  r.inputs[plain.seed] = converted(interpret(r.plain, r.inputs).at(y), DType::f32);
  const auto expected = interpret(plain.graph, r.inputs), got = interpret(found.graph, r.inputs);
  for (const auto& name : wrt) EXPECT_TRUE(close(got.at("d." + name), expected.at("d." + name), {1e-4, 1e-4})) << name;
}

TEST(AttentionForms, tell_heads_and_scale) {
  A a;
  grouped_queries(a);
  const RewrittenAttention r(a.g);
  EXPECT_EQ(r.text("q_num_heads"), "6");
  EXPECT_EQ(r.text("kv_num_heads"), "3");
  EXPECT_FALSE(r.has("q_view") || r.has("y_view"));  // as ONNX reads them
  EXPECT_FALSE(r.has("scale"));
  EXPECT_EQ(r.site().name, "blocks.0/attn/Softmax");

  A one;
  one_key_head(one);
  EXPECT_EQ(RewrittenAttention(one.g).text("k_view"), "[2, 1, 7, 4, 0, 28, 0, 4]");
  EXPECT_EQ(RewrittenAttention(one.g).text("scale"), "1");
  A folded;
  sequence_first(folded);
  EXPECT_EQ(RewrittenAttention(folded.g).text("q_view"), "[2, 3, 5, 4, 0, 36, 4, 72]");
}

}  // namespace
}  // namespace tessera
