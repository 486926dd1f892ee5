// The canonical attention operator: operands and results through views of any layout, and the rules that a rewritten
// graph needs, against attention written out in f64 as such a graph writes it (MatMul, Where, Softmax, MatMul).
#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "ops/attention/operand_view.h"
#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/made_up.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using Ints = std::vector<std::int64_t>;

constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();

Tensor numbers(const Shape& shape, unsigned seed) { return made_up(DType::f64, shape, seed); }

std::vector<Tensor> run(const Attributes& attributes, const std::vector<Tensor>& in, int outputs = 1) {
  std::vector<const Tensor*> p;
  for (const auto& t : in) p.push_back(t ? &t : nullptr);
  return evaluate(builtin_registry().at("tessera.attention::dense"), attributes, p, outputs);
}

std::string refusal(const Attributes& attributes, const std::vector<Tensor>& in) {
  try {
    run(attributes, in);
    return "accepted";
  } catch (const Error& e) {
    return e.what();
  }
}

// The operand as a tensor of its own, [B x H x L x D].
Tensor taken_out(const Tensor& t, const OperandView& v) {
  std::vector<double> out;
  const auto from = attention_view<const double>(t, v);
  for (std::int64_t b = 0; b < v.batch; ++b)
    for (std::int64_t h = 0; h < v.heads; ++h)
      for (std::int64_t i = 0; i < v.length; ++i) out.insert(out.end(), from.row(b, h, i), from.row(b, h, i) + v.dim);
  return Tensor::of<double>({v.batch, v.heads, v.length, v.dim}, out);
}

// Layouts of exporters; B 2, H 4 (2 of keys), L 5 (6 of keys), D 3.
struct Layout {
  const char* what;
  Shape q_tensor, k_tensor;
  OperandView q, k, v;  // v lies in k's tensor
};
const Layout layouts[] = {{"packed [B, L, 3, H, D]",
                           {2, 6, 3, 4, 3},
                           {2, 6, 3, 4, 3},
                           {2, 4, 6, 3, 0, {216, 3, 36}},
                           {2, 4, 6, 3, 12, {216, 3, 36}},
                           {2, 4, 6, 3, 24, {216, 3, 36}}},
                          {"sequence first [L, B*H, D], keys apart",
                           {5, 8, 3},
                           {6, 2, 2, 4, 3},
                           {2, 4, 5, 3, 0, {12, 3, 24}},
                           {2, 4, 6, 3, 0, {12, 3, 48}},
                           {2, 4, 6, 3, 24, {12, 3, 48}}},
                          {"key heads repeated by stride 0",
                           {2, 4, 5, 3},
                           {2, 6, 12},
                           {2, 4, 5, 3, 0, {60, 15, 3}},
                           {2, 4, 6, 3, 0, {72, 0, 12}},
                           {2, 4, 6, 3, 6, {72, 0, 12}}},
                          {"one batch for all, grouped heads",
                           {2, 4, 5, 3},
                           {6, 12},
                           {2, 4, 5, 3, 0, {60, 15, 3}},
                           {2, 2, 6, 3, 0, {0, 3, 12}},
                           {2, 2, 6, 3, 6, {0, 3, 12}}},
                          {"rows backwards",
                           {2, 4, 5, 3},
                           {2, 6, 12},
                           {2, 4, 5, 3, 12, {60, 15, -3}},
                           {2, 2, 6, 3, 60, {72, 3, -12}},
                           {2, 2, 6, 2, 67, {72, 3, -12}}}};

Attributes viewed(const Layout& l) {
  return {{"q_view", numbers_of(l.q)}, {"k_view", numbers_of(l.k)}, {"v_view", numbers_of(l.v)}};
}

TEST(DenseAttention, reads_operands_where_they_lie) {
  for (const auto& l : layouts) {
    SCOPED_TRACE(l.what);
    const Tensor k = numbers(l.k_tensor, 2);
    const Tensor q = l.q_tensor == l.k_tensor ? k : numbers(l.q_tensor, 1);
    for (const DType t : {DType::f32, DType::f64, DType::bf16}) {
      const auto as = [&](const Tensor& x) { return converted(x, t); };
      const auto apart = run({}, {as(taken_out(q, l.q)), as(taken_out(k, l.k)), as(taken_out(k, l.v))}, 6);
      const auto in_place = run(viewed(l), {as(q), as(k), as(k)}, 6);
      for (const std::size_t o : {0, 4, 5}) EXPECT_TRUE(same_bits(apart[o], in_place[o])) << "output " << o;
    }
  }
}

TEST(DenseAttention, writes_its_result_where_it_is_wanted) {
  const auto& l = layouts[1];
  const Tensor q = numbers(l.q_tensor, 1), k = numbers(l.k_tensor, 2);
  const Tensor plain = run(viewed(l), {q, k, k})[0];
  Attributes attributes = viewed(l);
  attributes["y_view"] = Ints{2, 4, 5, 3, 0, 12, 3, 24};
  attributes["y_shape"] = Ints{5, 2, 12};
  const Tensor y = run(attributes, {q, k, k})[0];
  EXPECT_EQ(y.shape(), (Shape{5, 2, 12}));
  EXPECT_TRUE(same_bits(taken_out(y, {2, 4, 5, 3, 0, {12, 3, 24}}), plain));
}

TEST(DenseAttention, refuses_views_that_reach_outside) {
  const Tensor x = numbers({2, 6, 12}, 1);  // 144 elements
  const auto with = [&](Ints q) {
    return refusal({{"q_view", std::move(q)}, {"kv_num_heads", std::int64_t{4}}}, {x, x, x});
  };
  EXPECT_EQ(with({2, 4, 6, 3, 0, 72, 3, 12}), "accepted");
  EXPECT_THAT(with({2, 4, 6, 3, 1, 72, 3, 12}), HasSubstr("q_view reaches outside [2x6x12]"));
  EXPECT_THAT(with({2, 4, 6, 3, 0, -72, 3, 12}), HasSubstr("reaches outside"));
  EXPECT_THAT(with({2, 4, 6, 3, 144, 0, 0, 0}), HasSubstr("offset 144 is outside"));
  EXPECT_THAT(with({2, 4, 6, 3, -1, 72, 3, 12}), HasSubstr("offset -1 is outside"));
  EXPECT_THAT(with({2, 4, 6, 3, 0, 72, 3}), HasSubstr("must be 8 integers"));
  EXPECT_THAT(with({2, -4, 6, 3, 0, 72, 3, 12}), HasSubstr("negative"));
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT(with({2, 4, 6, 3, 0, huge, 3, 12}), HasSubstr("reaches outside"));
  EXPECT_THAT(with({2, 4, 6, 3, 0, -huge - 1, 3, 12}), HasSubstr("reaches outside"));
  EXPECT_THAT(with({2, 4, huge / 16, 3, 0, 72, 3, 12}), testing::Not("accepted"));
  EXPECT_THAT(with({huge / 2, 2, 6, 3, 0, 0, 3, 12}), testing::Not("accepted"));
}

TEST(DenseAttention, refuses_a_result_that_does_not_fill_its_tensor) {
  const Tensor x = numbers({2, 4, 6, 3}, 1);
  const auto with = [&](Ints view, Ints shape) {
    return refusal({{"y_view", std::move(view)}, {"y_shape", std::move(shape)}}, {x, x, x});
  };
  EXPECT_EQ(with({2, 4, 6, 3, 0, 72, 3, 12}, {2, 6, 12}), "accepted");
  EXPECT_THAT(with({2, 4, 6, 3, 0, 72, 3, 12}, {2, 6, 13}), HasSubstr("every element of Y [2x6x13] once"));
  EXPECT_THAT(with({2, 4, 6, 3, 0, 72, 3, 3}, {2, 6, 12}), HasSubstr("once"));
  EXPECT_THAT(with({2, 4, 6, 3, 0, 0, 3, 12}, {2, 6, 12}), HasSubstr("once"));
  EXPECT_THAT(with({2, 6, 4, 3, 0, 72, 3, 18}, {2, 6, 12}), HasSubstr("y_view must begin with [2x4x6x3]"));
  EXPECT_THAT(refusal({{"y_shape", Ints{1}}}, {x, x, x}), HasSubstr("y_shape is given without y_view"));
  EXPECT_THAT(refusal({{"undefined_rows", std::string("one")}}, {x, x, x}),
              HasSubstr("'undefined_rows' must be zero, nan or guarded"));
  EXPECT_THAT(refusal({{"hidden_values", std::string("")}}, {x, x, x}),
              HasSubstr("'hidden_values' must be skip or multiply"));
  EXPECT_THAT(refusal({{"hidden_score", static_cast<float>(nan)}}, {x, x, x}), HasSubstr("hidden_score must be"));
}

// A decomposed attention of one batch entry, in f64. `score` sees (head, query, key, product).
using Score = std::function<double(std::int64_t, std::int64_t, std::int64_t, double)>;
Tensor written_out(const Tensor& q, const Tensor& k, const Tensor& v, const Score& score, bool guard = false) {
  const std::int64_t heads = q.dim(1), rows = q.dim(2), keys = k.dim(2), dim = q.dim(3), columns = v.dim(3);
  Tensor y = Tensor::zeros(DType::f64, {1, heads, rows, columns});
  for (std::int64_t h = 0; h < heads; ++h)
    for (std::int64_t i = 0; i < rows; ++i) {
      std::vector<double> p;
      double top = -infinity, sum = 0;
      for (std::int64_t j = 0; j < keys; ++j) {
        double s = 0;
        for (std::int64_t d = 0; d < dim; ++d)
          s += q.read<double>()[static_cast<std::size_t>((h * rows + i) * dim + d)] *
               k.read<double>()[static_cast<std::size_t>((h * keys + j) * dim + d)];
        p.push_back(score(h, i, j, s));
        top = std::max(top, p.back());
      }
      for (double& x : p) sum += x = std::exp(x - top);
      for (std::int64_t j = 0; j < keys; ++j)
        for (std::int64_t d = 0; d < columns; ++d) {
          const double weight = p[static_cast<std::size_t>(j)] / sum;
          y.write<double>()[static_cast<std::size_t>((h * rows + i) * columns + d)] +=
              (guard && std::isnan(weight) ? 0 : weight) *
              v.read<double>()[static_cast<std::size_t>((h * keys + j) * columns + d)];
        }
    }
  return y;
}

struct Operands {
  Tensor q = numbers({1, 2, 20, 4}, 1), k = numbers({1, 2, 7, 4}, 2), v = numbers({1, 2, 7, 3}, 3), keep;
  // Row 4 sees no key, row 5 the first one only, others all but the last; a bool [Lq x Lk].
  Operands() {
    std::vector<double> bits;
    for (int i = 0; i < 20; ++i)
      for (int j = 0; j < 7; ++j) bits.push_back(i == 4 ? 0 : i == 5 ? j == 0 : j < 6);
    keep = converted(Tensor::of<double>({20, 7}, bits), DType::boolean);
  }
  bool kept(std::int64_t i, std::int64_t j) const { return keep.read<bool>()[static_cast<std::size_t>(i * 7 + j)]; }
  void poison(double x) { v.write<double>()[3 * 6 + 1] = x; }  // of the last key of head 0, column 1
};

TEST(DenseAttention, gives_what_a_softmax_of_nothing_gives) {
  const Operands o;
  const auto hide = [&](auto, auto i, auto j, double s) { return o.kept(i, j) ? s : -infinity; };
  const auto y = [&](const char* rule) {
    return run({{"undefined_rows", std::string(rule)}, {"scale", 1.0f}}, {o.q, o.k, o.v, o.keep})[0];
  };
  EXPECT_TRUE(close(y("nan"), written_out(o.q, o.k, o.v, hide)));
  EXPECT_TRUE(close(y("guarded"), written_out(o.q, o.k, o.v, hide, true)));
  EXPECT_TRUE(close(y("zero"), written_out(o.q, o.k, o.v, hide, true)));
  const Tensor none =
      run({{"undefined_rows", std::string("nan")}}, {o.q, numbers({1, 2, 0, 4}, 1), numbers({1, 2, 0, 3}, 1)})[0];
  EXPECT_TRUE(close(none, Tensor::zeros(DType::f64, {1, 2, 20, 3})));
}

TEST(DenseAttention, guards_against_scores_that_are_no_numbers) {
  Operands o;
  o.q.write<double>()[9] = nan;  // query 2 of head 0
  const auto plain = [](auto, auto, auto, double s) { return s; };
  const auto y = run({{"undefined_rows", std::string("guarded")}, {"scale", 1.0f}}, {o.q, o.k, o.v})[0];
  EXPECT_TRUE(close(y, written_out(o.q, o.k, o.v, plain, true)));
}

TEST(DenseAttention, lets_values_behind_the_mask_through_as_a_product_does) {
  for (const double x : {nan, infinity, -infinity, 1e300}) {
    Operands o;
    o.poison(x);
    const auto hide = [&](auto, auto i, auto j, double s) { return o.kept(i, j) ? s : -infinity; };
    for (const bool guard : {false, true}) {
      const Attributes attributes{{"undefined_rows", std::string(guard ? "guarded" : "nan")},
                                  {"hidden_values", std::string("multiply")},
                                  {"scale", 1.0f}};
      EXPECT_TRUE(close(run(attributes, {o.q, o.k, o.v, o.keep})[0], written_out(o.q, o.k, o.v, hide, guard)));
    }
  }
}

TEST(DenseAttention, weighs_hidden_keys_by_the_score_that_was_filled_in) {
  Operands o;
  for (const float fill : {std::numeric_limits<float>::lowest(), -1e30f, -1e4f, -3.0f, 0.0f, 2.0f}) {
    SCOPED_TRACE(fill);
    const auto replace = [&](auto, auto i, auto j, double s) { return o.kept(i, j) ? s : double{fill}; };
    EXPECT_TRUE(close(run({{"hidden_score", fill}, {"scale", 1.0f}}, {o.q, o.k, o.v, o.keep})[0],
                      written_out(o.q, o.k, o.v, replace)));
    const auto causal = [&](auto, auto i, auto j, double s) { return j <= i ? s : double{fill}; };
    EXPECT_TRUE(
        close(run({{"hidden_score", fill}, {"scale", 1.0f}, {"is_causal", std::int64_t{1}}}, {o.q, o.k, o.v})[0],
              written_out(o.q, o.k, o.v, causal)));
  }
}

TEST(DenseAttention, counts_the_pairs_a_mask_leaves) {
  const Operands o;
  const auto density = [&](const Attributes& a, const Tensor& mask) {
    return doubles(run(a, {o.q, o.k, o.v, mask}, 6)[5])[1];
  };
  EXPECT_DOUBLE_EQ(density({}, {}), 1);
  EXPECT_FLOAT_EQ(static_cast<float>(density({}, o.keep)), (18 * 6 + 1) / 140.0f);
  EXPECT_FLOAT_EQ(static_cast<float>(density({{"is_causal", std::int64_t{1}}}, {})), (28 + 13 * 7) / 140.0f);
  EXPECT_FLOAT_EQ(static_cast<float>(density({{"is_causal", std::int64_t{1}}}, o.keep)), (10 + 1 + 14 * 6) / 140.0f);
}

TEST(DenseAttention, has_the_same_bits_with_any_number_of_threads) {
  Operands o;
  o.poison(infinity);
  const Attributes attributes{{"hidden_score", -1.0f}, {"hidden_values", std::string("multiply")}};
  std::vector<Tensor> one, many;
  with_threads(1, [&] { one = run(attributes, {o.q, o.k, o.v, o.keep}, 6); });
  with_threads(8, [&] { many = run(attributes, {o.q, o.k, o.v, o.keep}, 6); });
  for (const std::size_t i : {0, 4, 5}) EXPECT_TRUE(same_bits(one[i], many[i]));
}

std::vector<std::string> errors(const Attributes& attributes, const std::vector<Tensor>& in, bool present = false) {
  return gradient_errors(builtin_registry().at("tessera.attention::dense"), attributes, in,
                         {true, present, present, false, true}, {.most = 24});
}

TEST(DenseAttentionGradient, reaches_operands_where_they_lie) {
  for (const auto& l : layouts) {
    SCOPED_TRACE(l.what);
    EXPECT_THAT(errors(viewed(l), {numbers(l.q_tensor, 1), numbers(l.k_tensor, 2), numbers(l.k_tensor, 3)}), IsEmpty());
  }
  Attributes attributes = viewed(layouts[0]);
  attributes["y_view"] = Ints{2, 4, 6, 3, 0, 72, 3, 12}, attributes["y_shape"] = Ints{12, 12};
  const Tensor x = numbers(layouts[0].q_tensor, 1);
  EXPECT_THAT(errors(attributes, {x, x, x}), IsEmpty());
}

TEST(DenseAttentionGradient, comes_back_through_a_cache_into_views) {
  for (const auto& l : {layouts[0], layouts[2], layouts[4]}) {
    SCOPED_TRACE(l.what);
    const std::vector<Tensor> fresh{numbers(l.q_tensor, 1), numbers(l.k_tensor, 2), numbers(l.k_tensor, 3)};
    EXPECT_THAT(errors(viewed(l), fresh, true), IsEmpty());
    std::vector<Tensor> cached = fresh;
    cached.insert(cached.end(), {Tensor(), numbers({2, l.k.heads, 2, 3}, 4), numbers({2, l.k.heads, 2, l.v.dim}, 5)});
    EXPECT_THAT(errors(viewed(l), cached, true), IsEmpty());
  }
}

TEST(DenseAttentionGradient, counts_filled_in_scores) {
  const Operands o;
  for (const float fill : {-1e30f, -1.0f, 1.0f}) {
    EXPECT_THAT(errors({{"hidden_score", fill}}, {o.q, o.k, o.v, o.keep}), IsEmpty());
    EXPECT_THAT(errors({{"hidden_score", fill}, {"is_causal", std::int64_t{1}}}, {o.q, o.k, o.v}), IsEmpty());
  }
}

// dQ, dK and dV for dY of ones.
std::vector<Tensor> gradients(const Attributes& attributes, const std::vector<Tensor>& in) {
  const auto out = run(attributes, in, 5);
  const Tensor dy = Tensor::of<double>(out[0].shape(), std::vector<double>(static_cast<std::size_t>(out[0].size()), 1));
  std::vector<const Tensor*> p(9);
  for (std::size_t i = 0; i < in.size(); ++i) p[i] = &in[i];
  p[7] = &out[0], p[8] = &out[4], p.push_back(&dy);
  return evaluate(builtin_registry().at("tessera.attention::denseGrad"), attributes, p, 3);
}

TEST(DenseAttentionGradient, does_not_come_from_queries_without_keys) {
  const Operands o;
  const auto got = gradients({{"undefined_rows", std::string("nan")}}, {o.q, o.k, o.v, o.keep});
  const auto expected = gradients({{"undefined_rows", std::string("zero")}}, {o.q, o.k, o.v, o.keep});
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(close(got[i], expected[i])) << i;
  // The second query sees neither a key nor one that is hidden.
  const Tensor x = numbers({1, 1, 2, 2}, 4),
               mask = Tensor::of<double>({2, 2}, std::vector{0.0, 0.0, -infinity, -infinity});
  for (const Tensor& g : gradients({{"hidden_score", -1e4f}, {"is_causal", std::int64_t{1}}}, {x, x, x, mask}))
    for (const double d : doubles(g)) EXPECT_TRUE(std::isfinite(d));
}

}  // namespace
}  // namespace tessera
