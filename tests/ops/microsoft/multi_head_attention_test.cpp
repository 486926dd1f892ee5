// com.microsoft MultiHeadAttention, loaded from a model, against Attention on operands prepared by hand.
#include <gmock/gmock.h>

#include <map>
#include <random>

#include "runtime/op/evaluate.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/model_text.h"

namespace tessera {
namespace {

using testing::HasSubstr;

constexpr std::int64_t B = 2, H = 2, Lq = 3, L = 4, D = 3, Dv = 2, P = 2;

Tensor numbers(const Shape& shape) {
  static std::mt19937 engine(9);
  std::normal_distribution<float> normal;
  std::vector<float> v(static_cast<std::size_t>(count(shape)));
  for (float& x : v) x = normal(engine);
  return Tensor::of<float>(shape, v);
}

Tensor run(std::string_view op, const std::vector<Tensor>& in, const Attributes& attributes = {}, std::size_t out = 0) {
  std::vector<const Tensor*> p;
  for (const auto& t : in) p.push_back(t ? &t : nullptr);
  return evaluate(builtin_registry().at(op), attributes, p, static_cast<int>(out) + 1)[out];
}

// [B x L x H*D] <-> [B x H x L x D]
Tensor heads_first(const Tensor& t) {
  return run("Transpose", {t.reshaped({t.dim(0), t.dim(1), H, t.dim(2) / H})},
             {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}});
}
// Parts [B x L x H*D] of a packed operand, as [B x L x H x parts x D].
Tensor packed(const std::vector<Tensor>& parts) {
  std::vector<Tensor> wide;
  for (const auto& t : parts) wide.push_back(t.reshaped({t.dim(0), t.dim(1), H, 1, t.dim(2) / H}));
  return run("Concat", wide, {{"axis", std::int64_t{3}}});
}
Tensor part(const Tensor& t, std::int64_t begin, std::int64_t end) {
  return run("Slice", {t, Tensor::vector({begin}), Tensor::vector({end}), Tensor::vector({0})});
}

const char* const ports[] = {"query",
                             "key",
                             "value",
                             "bias",
                             "key_padding_mask",
                             "attention_bias",
                             "past_key",
                             "past_value",
                             "past_sequence_length"};

// A model of one node, its inputs shaped like `in`; with `symbolic`, their first dim is a name.
std::string graph(const std::map<std::string, Tensor>& in, const std::string& attributes, bool symbolic) {
  std::string node = "node { name: \"mha\" domain: \"com.microsoft\" op_type: \"MultiHeadAttention\" ", inputs;
  for (const std::string port : ports) {
    const auto t = in.find(port);
    node += "input: \"" + (t == in.end() ? "" : port) + "\" ";
    if (t == in.end()) continue;
    inputs += input_text(port, t->second,
                         [&](int axis) { return std::string(symbolic && axis == 0 && port != "bias" ? "batch" : ""); });
  }
  return node +
         "output: \"y\" output: \"present_key\" output: \"present_value\" attribute { name: \"num_heads\" i: 2 "
         "type: INT } " +
         attributes + "} " + inputs +
         "output { name: \"y\" } output { name: \"present_key\" } output { name: \"present_value\" }";
}
const std::string domain = "opset_import { domain: \"com.microsoft\" version: 1 }";

class MultiHeadAttention : public testing::Test {
 protected:
  const Tensor q = numbers({B, Lq, H*D}), k = numbers({B, L, H*D}), v = numbers({B, L, H*Dv});
  std::map<std::string, Tensor> in{{"query", q}, {"key", k}, {"value", v}};
  std::string attributes;
  Attributes plain{{"q_num_heads", H}, {"kv_num_heads", H}};  // of the Attention to compare with

  void expect(const std::vector<Tensor>& operands) {
    for (const bool symbolic : {false, true}) {
      const auto out = interpret(load_text(graph(in, attributes, symbolic), domain), in);
      EXPECT_TRUE(close(out.at("y"), run("Attention", operands, plain, 0))) << symbolic;
      EXPECT_TRUE(close(out.at("present_key"), run("Attention", operands, plain, 1))) << symbolic;
      EXPECT_TRUE(close(out.at("present_value"), run("Attention", operands, plain, 2))) << symbolic;
    }
  }
  // [B x 1 x 1 x n]: what padding adds to scores, where keep is 0.
  static Tensor added(const std::vector<double>& keep, const Shape& shape, double filter = -10000) {
    std::vector<double> x;
    for (const double flag : keep) x.push_back(flag != 0 ? 0 : filter);
    return converted(Tensor::of<double>(shape, x), DType::f32);
  }
  static Tensor i32(const Shape& shape, const std::vector<double>& x) {
    return converted(Tensor::of<double>(shape, x), DType::i32);
  }
};

TEST_F(MultiHeadAttention, of_separate_operands) { expect({q, k, v}); }

TEST_F(MultiHeadAttention, scale_and_causality) {
  attributes =
      "attribute { name: \"scale\" f: 0.25 type: FLOAT } attribute { name: \"unidirectional\" i: 1 type: INT }";
  plain["scale"] = 0.25f, plain["is_causal"] = std::int64_t{1};
  expect({q, k, v});
}

TEST_F(MultiHeadAttention, scale_0_is_the_default) {
  attributes = "attribute { name: \"scale\" f: 0 type: FLOAT }";
  expect({q, k, v});
}

TEST_F(MultiHeadAttention, of_packed_keys_and_values) {
  const Tensor square = numbers({B, L, H * D});
  in = {{"query", q}, {"key", packed({k, square})}};
  expect({q, k, square});
}

TEST_F(MultiHeadAttention, of_all_packed_in_one) {
  const Tensor a = numbers({B, L, H * D}), b = numbers({B, L, H * D}), c = numbers({B, L, H * D});
  in = {{"query", packed({a, b, c})}};
  expect({a, b, c});
}

TEST_F(MultiHeadAttention, of_keys_by_head) {
  in["key"] = heads_first(k), in["value"] = heads_first(v);
  const auto out = interpret(load_text(graph(in, attributes, false), domain), in);
  EXPECT_TRUE(close(out.at("y"), run("Attention", {q, k, v}, plain)));
}

TEST_F(MultiHeadAttention, of_no_tokens) {
  const Tensor none = numbers({B, 0, H * D});
  in = {{"query", packed({none, none, none})}};
  expect({none, none, none});
  in = {{"query", q}, {"key", packed({none, none})}};
  expect({q, none, none});
  in = {{"query", none}, {"key", packed({k, k})}};
  expect({none, k, k});
  in = {{"query", q}, {"key", heads_first(none)}, {"value", heads_first(none)}};
  EXPECT_TRUE(close(interpret(load_text(graph(in, attributes, false), domain), in).at("y"),
                    Tensor::zeros(DType::f32, {B, Lq, H * D})));
  in = {{"query", q}, {"key", none}, {"value", none}, {"key_padding_mask", i32({B, 0}, {})}};
  expect({q, none, none});
}

TEST_F(MultiHeadAttention, adds_its_bias_in_three_parts) {
  const Tensor bias = numbers({2 * H * D + H * Dv});
  in["bias"] = bias;
  const auto out = interpret(load_text(graph(in, attributes, false), domain), in);
  const auto with = [&](const Tensor& x, std::int64_t begin) {
    return run("Add", {x, part(bias, begin, begin + x.dim(2))});
  };
  EXPECT_TRUE(close(out.at("y"), run("Attention", {with(q, 0), with(k, H * D), with(v, 2 * H * D)}, plain)));
}

TEST_F(MultiHeadAttention, padding_by_key) {
  const std::vector<double> keep{1, 1, 0, 1, 1, 0, 0, 0};
  in["key_padding_mask"] = i32({B, L}, keep);
  attributes = "attribute { name: \"mask_filter_value\" f: -2 type: FLOAT }";
  expect({q, k, v, added(keep, {B, 1, 1, L}, -2)});
}

TEST_F(MultiHeadAttention, padding_by_query_and_key) {
  std::vector<double> keep(B * Lq * L);
  for (std::size_t i = 0; i < keep.size(); ++i) keep[i] = i * 5 % 7 < 4;
  in["key_padding_mask"] = i32({B, Lq, L}, keep);
  const auto out = interpret(load_text(graph(in, attributes, false), domain), in);
  EXPECT_TRUE(close(out.at("y"), run("Attention", {q, k, v, added(keep, {B, 1, Lq, L})}, plain)));
}

TEST_F(MultiHeadAttention, padding_by_length_leaves_causality_alone) {
  in["key_padding_mask"] = i32({B}, {3, 2});
  const Tensor mask = added({1, 1, 1, 0, 1, 1, 0, 0}, {B, 1, 1, L});
  for (const std::int64_t causal : {0, 1}) {
    attributes = concat("attribute { name: \"unidirectional\" i: ", causal, " type: INT }");
    plain["is_causal"] = causal;
    const auto out = interpret(load_text(graph(in, attributes, false), domain), in);
    EXPECT_TRUE(close(out.at("y"), run("Attention", {q, k, v, mask}, plain))) << causal;
  }
}

TEST_F(MultiHeadAttention, attention_bias_joins_the_padding) {
  const Tensor bias = numbers({1, H, Lq, L});
  in["attention_bias"] = bias;
  expect({q, k, v, bias});
  const std::vector<double> keep{1, 1, 0, 1, 1, 0, 1, 0};
  in["key_padding_mask"] = i32({B, L}, keep);
  expect({q, k, v, run("Add", {bias, added(keep, {B, 1, 1, L})})});
}

TEST_F(MultiHeadAttention, a_cache_and_padding_over_all_of_it) {
  const Tensor past_key = numbers({B, H, P, D}), past_value = numbers({B, H, P, Dv});
  in["past_key"] = past_key, in["past_value"] = past_value;
  attributes = "attribute { name: \"unidirectional\" i: 1 type: INT }";
  plain["is_causal"] = std::int64_t{1};
  expect({q, k, v, {}, past_key, past_value});
  const std::vector<double> keep{0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 0};
  in["key_padding_mask"] = i32({B, P + L}, keep);
  expect({q, k, v, added(keep, {B, 1, 1, P + L}), past_key, past_value});
}

TEST_F(MultiHeadAttention, says_what_it_cannot_do) {
  const auto refusal = [&](const std::string& port, const Tensor& t) {
    auto with = in;
    with[port] = t;
    const auto failure = failure_of_text(graph(with, attributes, false), domain);
    EXPECT_EQ(failure.code, static_cast<int>(Code::unsupported)) << failure.text;
    return failure.text;
  };
  EXPECT_THAT(refusal("past_sequence_length", i32({1}, {2})), HasSubstr("past_sequence_length"));
  EXPECT_THAT(refusal("key_padding_mask", i32({3 * B + 2}, {1, 1, 1, 1, 1, 1, 1, 1})),
              HasSubstr("a mask must be [B], [B x L] or [B x Lq x L], got [8]"));
  in["key"] = heads_first(k), in["value"] = heads_first(v);
  EXPECT_THAT(refusal("bias", numbers({2 * H * D + H * Dv})), HasSubstr("bias beside a key of [B x H x L x D]"));
}

// A mask of another rank than the common one shows as an error, not as other numbers, when shapes are known late.
TEST_F(MultiHeadAttention, unexpected_masks_of_symbolic_models_are_errors) {
  in["key_padding_mask"] = i32({B}, {3, 2});
  const Graph g = load_text(graph(in, attributes, true), domain);
  EXPECT_THROW(interpret(g, in), Error);
}

}  // namespace
}  // namespace tessera
