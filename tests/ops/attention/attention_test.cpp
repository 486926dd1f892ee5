// The operator Attention: how it reads its operands, masks and cache, and what it says about wrong ones. The numbers
// behind are the kernel's, tested beside this.
#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "tests/support/attention_reference.h"
#include "tests/support/compare.h"

namespace tessera {
namespace {

using testing::HasSubstr;

constexpr double infinity = std::numeric_limits<double>::infinity();

Tensor numbers(const Shape& shape) {
  static std::mt19937 engine(5);
  std::normal_distribution<double> normal;
  std::vector<double> v(static_cast<std::size_t>(count(shape)));
  for (double& x : v) x = normal(engine);
  return Tensor::of<double>(shape, v);
}

// Rows [begin, end) of axis 2 of [B x H x L x D].
Tensor rows(const Tensor& t, std::int64_t begin, std::int64_t end) {
  const std::int64_t length = t.dim(2), dim = t.dim(3);
  std::vector<double> v;
  const auto from = t.read<double>();
  for (std::int64_t h = 0; h < t.dim(0) * t.dim(1); ++h)
    v.insert(v.end(), from.begin() + (h * length + begin) * dim, from.begin() + (h * length + end) * dim);
  return Tensor::of<double>({t.dim(0), t.dim(1), end - begin, dim}, v);
}

// [B x H x L x D] -> [B x L x H*D]
Tensor flat(const Tensor& t) {
  std::vector<double> v;
  for (std::int64_t b = 0; b < t.dim(0); ++b)
    for (std::int64_t i = 0; i < t.dim(2); ++i)
      for (std::int64_t h = 0; h < t.dim(1); ++h)
        for (std::int64_t d = 0; d < t.dim(3); ++d)
          v.push_back(t.read<double>()[static_cast<std::size_t>(((b * t.dim(1) + h) * t.dim(2) + i) * t.dim(3) + d)]);
  return Tensor::of<double>({t.dim(0), t.dim(2), t.dim(1) * t.dim(3)}, v);
}

// One node on made-up numbers and, in `reference`, what the definition says of them.
struct Call {
  AttentionShape s;
  Tensor q, k, v;  // [B x H x L x D], keys with their cache
  std::int64_t past = 0;
  bool three_d = false;
  Tensor mask, nonpad;
  Attributes attributes;
  AttentionReference reference;

  explicit Call(const AttentionShape& shape) : s(shape) {
    q = numbers({s.batch, s.q_heads, s.q_len, s.qk_dim});
    k = numbers({s.batch, s.kv_heads, s.kv_len, s.qk_dim});
    v = numbers({s.batch, s.kv_heads, s.kv_len, s.v_dim});
    reference.shape = s;
    reference.scale = 1 / std::sqrt(static_cast<double>(s.qk_dim));
    reference.q = doubles(q), reference.k = doubles(k), reference.v = doubles(v);
    reference.bias.assign(static_cast<std::size_t>(s.batch * s.q_heads * s.q_len * s.kv_len), 0);
  }

  // Adds f(batch, head, query, key) to the scores of the reference; -inf hides.
  template <class F>
  void add(F f) {
    auto x = reference.bias.begin();
    for (std::int64_t b = 0; b < s.batch; ++b)
      for (std::int64_t h = 0; h < s.q_heads; ++h)
        for (std::int64_t i = 0; i < s.q_len; ++i)
          for (std::int64_t j = 0; j < s.kv_len; ++j) *x++ += f(b, h, i, j);
  }
  template <class F>
  void hide(F hidden) {
    add([&](auto b, auto h, auto i, auto j) { return hidden(b, h, i, j) ? -infinity : 0.0; });
  }

  std::vector<Tensor> run(int outputs = 5) {
    const auto given = [&](const Tensor& t) { return three_d ? flat(t) : t; };
    const Tensor query = given(q), key = given(rows(k, past, s.kv_len)), value = given(rows(v, past, s.kv_len)),
                 past_key = rows(k, 0, past), past_value = rows(v, 0, past);
    if (three_d) attributes["q_num_heads"] = s.q_heads, attributes["kv_num_heads"] = s.kv_heads;
    const auto optional = [](const Tensor& t) { return t ? &t : nullptr; };
    const std::vector<const Tensor*> in{
        &query,          &key, &value, optional(mask), past > 0 ? &past_key : nullptr, past > 0 ? &past_value : nullptr,
        optional(nonpad)};
    return evaluate(builtin_registry().at("Attention"), attributes, in, outputs);
  }

  void expect_reference() {
    const auto out = run();
    reference.forward();
    const Tensor y = Tensor::of<double>({s.batch, s.q_heads, s.q_len, s.v_dim}, reference.y);
    EXPECT_TRUE(close(out[0], three_d ? flat(y) : y, {1e-12, 1e-12}));
    EXPECT_TRUE(same_bits(out[1], k));
    EXPECT_TRUE(same_bits(out[2], v));
    const auto mode = attributes.contains("qk_matmul_output_mode")
                          ? std::get<std::int64_t>(attributes.at("qk_matmul_output_mode"))
                          : 0;
    EXPECT_TRUE(close(
        out[3],
        Tensor::of<double>({s.batch, s.q_heads, s.q_len, s.kv_len}, reference.scores[static_cast<std::size_t>(mode)]),
        {1e-12, 1e-12}));
    EXPECT_TRUE(close(out[4], Tensor::of<double>({s.batch, s.q_heads, s.q_len}, reference.lse), {1e-12, 1e-12}));
  }
};

TEST(Attention, of_heads_in_both_layouts) {
  for (const bool three_d : {false, true}) {
    for (const AttentionShape& s : {AttentionShape{2, 3, 3, 5, 7, 4, 6}, AttentionShape{2, 6, 2, 5, 7, 4, 6}}) {
      Call c(s);
      c.three_d = three_d;
      c.expect_reference();
    }
  }
}

// Queries of a group that share a block, fill it, and do not fit.
TEST(Attention, grouped_queries_of_every_number) {
  for (std::int64_t queries = 1; queries <= 26; ++queries) {
    for (const bool three_d : {false, true}) {
      Call c({2, 4, 2, queries, 40, 4, 3});
      c.three_d = three_d;
      c.expect_reference();
      EXPECT_TRUE(close(c.run(1)[0], c.run()[0], {1e-12, 1e-12})) << queries;  // keys are read where they lie
    }
  }
}

TEST(Attention, scale_and_softcap) {
  Call c({1, 2, 2, 4, 5, 3, 3});
  c.attributes = {{"scale", 0.75f}, {"softcap", 1.5f}};
  c.reference.scale = 0.75, c.reference.softcap = 1.5;
  c.expect_reference();
  c.attributes["scale"] = 0.0f;  // a scale like others: all keys weigh the same
  c.reference.scale = 0;
  c.expect_reference();
}

TEST(Attention, causal) {
  for (const AttentionShape& s : {AttentionShape{1, 2, 2, 5, 5, 4, 4}, AttentionShape{1, 2, 2, 5, 3, 4, 4},
                                  AttentionShape{1, 2, 2, 3, 5, 4, 4}}) {
    Call c(s);
    c.attributes["is_causal"] = std::int64_t{1};
    c.hide([](auto, auto, auto i, auto j) { return j > i; });
    c.expect_reference();
  }
}

TEST(Attention, a_cache_comes_before_the_new_keys) {
  for (const bool three_d : {false, true}) {
    for (const bool causal : {false, true}) {
      Call c({2, 4, 2, 3, 8, 4, 6});
      c.past = 5, c.three_d = three_d;
      c.attributes["is_causal"] = std::int64_t{causal};
      if (causal) c.hide([](auto, auto, auto i, auto j) { return j > i + 5; });
      c.expect_reference();
    }
  }
}

TEST(Attention, numbers_of_valid_keys) {
  for (const bool causal : {false, true}) {
    Call c({3, 2, 1, 3, 6, 4, 4});
    const std::vector<std::int64_t> valid{6, 4, 2};  // the last has fewer keys than queries: its first query sees none
    c.nonpad = Tensor::vector<std::int64_t>(valid);
    c.attributes["is_causal"] = std::int64_t{causal};
    c.hide([&](auto b, auto, auto i, auto j) {
      const std::int64_t n = valid[static_cast<std::size_t>(b)];
      return j >= n || (causal && j > i + n - 3);
    });
    c.expect_reference();
  }
}

// Masks of rank 2 to 4 over [2 x 4 x 3 x 5], with axes of one element.
const Shape mask_shapes[] = {{3, 5}, {1, 5}, {4, 3, 5}, {1, 3, 5}, {4, 1, 5}, {2, 4, 3, 5}, {2, 1, 1, 5}, {1, 4, 3, 5}};

double at(const Tensor& m, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
  const std::int64_t index[4] = {b, h, i, j};
  std::int64_t place = 0;
  for (int a = 0; a < m.rank(); ++a) place = place * m.dim(a) + (m.dim(a) == 1 ? 0 : index[4 - m.rank() + a]);
  return doubles(m)[static_cast<std::size_t>(place)];
}

TEST(Attention, float_masks_are_added) {
  for (const Shape& shape : mask_shapes) {
    SCOPED_TRACE(concat(shape));
    Call c({2, 4, 2, 3, 5, 4, 4});
    c.mask = numbers(shape);
    c.mask.write<double>()[1] = -infinity;
    c.add([&](auto b, auto h, auto i, auto j) { return at(c.mask, b, h, i, j); });
    c.expect_reference();
  }
}

TEST(Attention, boolean_masks_keep) {
  for (const Shape& shape : mask_shapes) {
    SCOPED_TRACE(concat(shape));
    Call c({2, 4, 2, 3, 5, 4, 4});
    std::vector<double> kept(static_cast<std::size_t>(count(shape)));
    for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = i * 5 % 7 < 4;
    c.mask = converted(Tensor::of<double>(shape, kept), DType::boolean);
    c.hide([&](auto b, auto h, auto i, auto j) { return at(c.mask, b, h, i, j) == 0; });
    c.expect_reference();
  }
}

TEST(Attention, a_mask_with_a_cache_covers_both_and_joins_causality) {
  Call c({2, 2, 2, 3, 7, 4, 4});
  c.past = 4;
  c.mask = numbers({2, 1, 3, 7});
  c.attributes["is_causal"] = std::int64_t{1};
  c.add([&](auto b, auto h, auto i, auto j) { return at(c.mask, b, h, i, j); });
  c.hide([](auto, auto, auto i, auto j) { return j > i + 4; });
  c.expect_reference();
}

TEST(Attention, a_short_mask_hides_the_other_keys) {
  for (const DType t : {DType::f64, DType::boolean}) {
    for (const bool counted : {false, true}) {
      Call c({2, 2, 1, 3, 7, 4, 4});
      c.mask = converted(Tensor::of<double>({3, 4}, std::vector<double>(12, 1)), t);
      if (counted) c.nonpad = Tensor::vector({7, 2});
      c.hide([&](auto b, auto, auto, auto j) { return j >= 4 || (counted && b == 1 && j >= 2); });
      if (t == DType::f64) c.add([](auto...) { return 1.0; });
      c.expect_reference();
    }
  }
}

TEST(Attention, scores_at_every_stage) {
  for (const std::int64_t mode : {0, 1, 2, 3}) {
    Call c({2, 4, 2, 3, 5, 4, 4});
    c.attributes = {{"qk_matmul_output_mode", mode}, {"softcap", 0.75f}, {"is_causal", std::int64_t{1}}};
    c.reference.softcap = 0.75;
    c.mask = numbers({4, 3, 5});
    c.mask.write<double>()[0] = -infinity;  // and causality hides the other keys of that query
    c.add([&](auto b, auto h, auto i, auto j) { return at(c.mask, b, h, i, j); });
    c.hide([](auto, auto, auto i, auto j) { return j > i; });
    c.expect_reference();
  }
}

TEST(Attention, probabilities_of_scores_that_are_no_numbers) {
  for (const double x : {std::numeric_limits<double>::quiet_NaN(), infinity}) {
    for (const std::size_t key : {0u, 2u}) {
      Call c({1, 1, 1, 1, 3, 1, 1});
      c.attributes = {{"qk_matmul_output_mode", std::int64_t{3}}};
      c.q = Tensor::scalar(1.0).reshaped({1, 1, 1, 1});
      c.k.write<double>()[key] = x;
      for (const double p : doubles(c.run()[3])) EXPECT_TRUE(std::isnan(p));
    }
  }
}

TEST(Attention, empty_sizes) {
  for (const AttentionShape& s : {AttentionShape{0, 2, 2, 3, 5, 4, 4}, AttentionShape{1, 2, 2, 0, 5, 4, 4},
                                  AttentionShape{1, 2, 2, 3, 0, 4, 4}, AttentionShape{1, 2, 2, 3, 5, 4, 0}})
    Call(s).expect_reference();
}

// What is said of operands of these shapes.
std::string complaint(const std::vector<Shape>& shapes, const Attributes& attributes = {}, const Tensor& nonpad = {}) {
  std::vector<Tensor> in;
  for (const auto& s : shapes) in.push_back(s.empty() ? Tensor() : Tensor::zeros(DType::f32, s));
  if (nonpad) in.resize(6), in.push_back(nonpad);
  std::vector<const Tensor*> p;
  for (const auto& t : in) p.push_back(t ? &t : nullptr);
  try {
    evaluate(builtin_registry().at("Attention"), attributes, p, 1);
    return "";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::bad_input);
    return e.what();
  }
}

TEST(Attention, says_which_shapes_do_not_fit) {
  const Shape q{1, 4, 3, 8}, k{1, 2, 5, 8}, v{1, 2, 5, 6}, flat_q{1, 3, 32}, flat_k{1, 5, 16};
  EXPECT_EQ(complaint({q, k, v}), "");
  EXPECT_THAT(complaint({{3, 8}, k, v}), HasSubstr("Q must be [B x L x H*D] or [B x H x L x D], got [3x8]"));
  EXPECT_THAT(complaint({flat_q, flat_k, flat_k}), HasSubstr("Q is 3-D, so attribute 'q_num_heads' must be given"));
  EXPECT_THAT(complaint({flat_q, flat_k, flat_k}, {{"q_num_heads", std::int64_t{5}}}),
              HasSubstr("q_num_heads 5 does not divide the last dim of Q [1x3x32]"));
  EXPECT_THAT(complaint({q, k, v}, {{"q_num_heads", std::int64_t{3}}}),
              HasSubstr("q_num_heads is 3 but Q is [1x4x3x8]"));
  EXPECT_THAT(complaint({q, flat_k, flat_k}, {{"kv_num_heads", std::int64_t{2}}}), HasSubstr("must have one rank"));
  EXPECT_THAT(complaint({q, {2, 2, 5, 8}, {2, 2, 5, 6}}), HasSubstr("batch sizes of Q, K and V differ: 1, 2, 2"));
  EXPECT_THAT(complaint({q, k, {1, 2, 4, 6}}), HasSubstr("differ in heads or length"));
  EXPECT_THAT(complaint({q, {1, 2, 5, 7}, v}), HasSubstr("differ in head size"));
  EXPECT_THAT(complaint({q, {1, 3, 5, 8}, {1, 3, 5, 6}}), HasSubstr("3 key heads do not divide 4 query heads"));
  EXPECT_THAT(complaint({q, {1, 0, 5, 8}, {1, 0, 5, 6}}), HasSubstr("0 key heads do not divide 4 query heads"));
  EXPECT_THAT(complaint({q, k, v, {3, 6}}), HasSubstr("attn_mask [3x6] is longer than the 5 keys"));
  EXPECT_THAT(complaint({q, k, v, {2, 5}}), HasSubstr("attn_mask [2x5] does not broadcast to [1x4x3x5]"));
  EXPECT_THAT(complaint({q, k, v, {}, {1, 2, 9, 8}}), HasSubstr("past_key and past_value must be given together"));
  EXPECT_THAT(complaint({q, k, v, {}, {1, 2, 9, 7}, {1, 2, 9, 6}}), HasSubstr("past_key [1x2x9x7] does not fit K"));
  EXPECT_THAT(complaint({q, k, v, {}, {1, 2, 9, 8}, {1, 2, 8, 6}}), HasSubstr("past_value [1x2x8x6] does not fit V"));
  EXPECT_THAT(complaint({q, k, v}, {{"softcap", -1.0f}}), HasSubstr("softcap must not be negative, got -1"));
  EXPECT_THAT(complaint({q, k, v}, {{"qk_matmul_output_mode", std::int64_t{4}}}), HasSubstr("must be 0, 1, 2 or 3"));
  EXPECT_THAT(complaint({q, k, v}, {}, Tensor::vector({1, 2})), HasSubstr("nonpad_kv_seqlen must be [1], got [2]"));
  EXPECT_THAT(complaint({q, k, v}, {}, Tensor::vector({6})), HasSubstr("nonpad_kv_seqlen 6 is outside [0, 5]"));
  EXPECT_THAT(complaint({q, k, v, {}, {1, 2, 9, 8}, {1, 2, 9, 6}}, {}, Tensor::vector({4})),
              HasSubstr("nonpad_kv_seqlen cannot be combined with past_key"));
}

}  // namespace
}  // namespace tessera
