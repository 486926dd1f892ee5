// VSA against its definition in f64: every element type, grid and input scale, forward and backward.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/op/evaluate.h"
#include "tests/support/attention_case.h"
#include "tests/support/compare.h"
#include "tests/support/full_registry.h"
#include "tests/support/sparse_reference.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

using Ints = std::vector<std::int64_t>;

struct VsaCase {
  SparseCase sparse;
  std::int64_t topk;
};

// The topk largest scores, the lowest index of equals first.
Ints top(const std::vector<double>& scores, std::int64_t topk) {
  Ints order;
  for (std::size_t i = 0; i < scores.size(); ++i) order.push_back(static_cast<std::int64_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(topk));
  return order;
}

Attributes attributes(const VsaCase& c) { return {{"grid", c.sparse.grid}, {"tile", c.sparse.tile}, {"topk", c.topk}}; }

struct Results {
  std::vector<Tensor> forward, backward;
};

// Forward, and backward of sum(Y dY) + sum(lse dlse).
Results run(const VsaCase& c, const SparseReference& r, DType t) {
  const auto& s = c.sparse;
  const DType wide = t == DType::f64 ? DType::f64 : DType::f32;
  const Tensor q = r.tensor(r.q, s.q_heads, s.qk_dim, t), k = r.tensor(r.k, s.kv_heads, s.qk_dim, t),
               v = r.tensor(r.v, s.kv_heads, s.v_dim, t), dy = r.tensor(r.dy, s.q_heads, s.v_dim, t),
               gate = s.gated ? r.tensor(r.gate, s.q_heads, s.v_dim, t) : Tensor(),
               dlse = converted(Tensor::of<double>({s.batch, s.q_heads, s.tokens()}, r.dlse), wide);
  std::vector<const Tensor*> in{&q, &k, &v, nullptr, nullptr, nullptr, nullptr, s.gated ? &gate : nullptr};
  Results results;
  results.forward = evaluate(full_registry().at("tessera.attention::vsa"), attributes(c), in, 7);
  in.insert(in.end(), {&results.forward[0], &results.forward[4], &dy, &dlse, &results.forward[6]});
  results.backward = evaluate(full_registry().at("tessera.attention::vsaGrad"), attributes(c), in, 4);
  return results;
}

void expect_near(const Tensor& got, const std::vector<double>& expected, double tolerance, const char* what) {
  EXPECT_LT(largest_error(doubles(got), expected), tolerance) << what;
}

const VsaCase cases[] = {
    {{.grid = {4, 4, 4}, .tile = {2, 2, 2}}, 2},
    {{.batch = 2,
      .q_heads = 2,
      .kv_heads = 2,
      .qk_dim = 16,
      .v_dim = 16,
      .grid = {5, 6, 7},
      .tile = {4, 4, 4},
      .gated = true},
     3},
    {{.q_heads = 4, .kv_heads = 2, .qk_dim = 64, .v_dim = 64, .grid = {3, 9, 5}, .tile = {2, 4, 2}, .gated = true}, 5},
    {{.q_heads = 2, .kv_heads = 1, .qk_dim = 128, .v_dim = 128, .grid = {4, 8, 8}, .tile = {4, 4, 4}, .gated = true},
     2},
    {{.q_heads = 2, .kv_heads = 2, .qk_dim = 20, .v_dim = 12, .grid = {9, 10}, .tile = {3, 4}, .gated = true}, 4},
    {{.grid = {37}, .tile = {8}, .gated = true}, 1},
};

class VsaReference : public testing::TestWithParam<std::tuple<VsaCase, double>> {
 protected:
  VsaCase c = [] {
    VsaCase c = std::get<0>(GetParam());
    c.sparse.amplitude = std::get<1>(GetParam());
    return c;
  }();
};

TEST_P(VsaReference, is_what_its_definition_says) {
  SparseReference r(c.sparse);
  r.choose([&](const auto& scores) { return top(scores, c.topk); });
  r.forward();
  r.backward();
  for (const DType t : {DType::f64, DType::f32}) {
    SCOPED_TRACE(name(t));
    const auto got = run(c, r, t);
    EXPECT_TRUE(same_bits(got.forward[6], r.selection(c.topk)));
    // At scale 16 logits reach some hundreds, and the rounding of f32 grows with them.
    const double tolerance = t == DType::f64 ? 1e-10 : 2e-6 * c.sparse.amplitude * c.sparse.amplitude + 1e-5;
    expect_near(got.forward[0], r.y, tolerance, "Y");
    expect_near(got.forward[4], r.lse, tolerance, "lse");
    expect_near(got.forward[5], r.density, 1e-6, "density");
    expect_near(got.backward[0], r.dq, tolerance, "dQ");
    expect_near(got.backward[1], r.dk, tolerance, "dK");
    expect_near(got.backward[2], r.dv, tolerance, "dV");
    if (c.sparse.gated) expect_near(got.backward[3], r.dgate, tolerance, "dgate");
  }
}

TEST_P(VsaReference, gives_the_same_bits_with_any_number_of_threads) {
  const SparseReference r(c.sparse);
  for (const DType t : {DType::f32, DType::bf16}) {
    Results one, many;
    with_threads(1, [&] { one = run(c, r, t); });
    with_threads(4, [&] { many = run(c, r, t); });
    for (std::size_t i = 0; i < one.forward.size(); ++i) EXPECT_TRUE(same_bits(one.forward[i], many.forward[i])) << i;
    for (std::size_t i = 0; i < one.backward.size(); ++i)
      EXPECT_TRUE(same_bits(one.backward[i], many.backward[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, VsaReference,
                         testing::Combine(testing::ValuesIn(cases), testing::Values(1.0, 4.0, 16.0)));

// Of a sequence of n tiles of one token: the selection, [n][K + 1].
Tensor selection_of(const Tensor& x, Attributes attributes) {
  attributes["grid"] = Ints{x.dim(2)}, attributes["tile"] = Ints{1};
  return evaluate(full_registry().at("tessera.attention::vsa"), attributes, std::vector<const Tensor*>{&x, &x, &x},
                  7)[6];
}

TEST(Vsa, keeps_as_many_tiles_as_the_decimals_say) {
  const struct {
    float sparsity;
    std::int64_t tiles, kept;
  } counts[] = {{0.7f, 10, 3},   {0.95f, 20, 1}, {0.9f, 1000, 100}, {0.875f, 364, 46}, {0.9f, 364, 37},
                {0.8f, 256, 52}, {0, 17, 17},    {1, 17, 1},        {0.999f, 8, 1},    {0.01f, 300, 297}};
  for (const auto& c : counts)
    EXPECT_EQ(selection_of(Tensor::zeros(DType::f32, {1, 1, c.tiles, 2}), {{"sparsity", c.sparsity}}).dim(3),
              c.kept + 1)
        << c.sparsity << " of " << c.tiles;
  EXPECT_EQ(selection_of(Tensor::zeros(DType::f32, {1, 1, 5, 2}), {{"topk", std::int64_t{9}}}).dim(3), 5 + 1);
}

TEST(Vsa, takes_the_lowest_index_of_equal_scores) {
  // Keys 0, 1, -0, 1, 1: queries of 1 take the ones in order, then the first zero.
  const Tensor x = Tensor::of<float>({1, 1, 5, 1}, std::vector<float>{0, 1, -0.0f, 1, 1});
  const auto first_row_of = [&](std::int64_t topk, std::int64_t row) {
    const auto s = selection_of(x, {{"topk", topk}});
    const auto all =
        s.read<std::int32_t>().subspan(static_cast<std::size_t>(row * (topk + 1)), static_cast<std::size_t>(topk));
    return std::vector<std::int32_t>(all.begin(), all.end());
  };
  using Row = std::vector<std::int32_t>;
  EXPECT_EQ(first_row_of(2, 1), (Row{1, 3}));
  EXPECT_EQ(first_row_of(4, 1), (Row{0, 1, 3, 4}));
  EXPECT_EQ(first_row_of(3, 0), (Row{0, 1, 2}));  // a query of 0: all scores are zeros, of either sign
}

// All keys are one vector, also the mean of each tile, clipped or not; queries point along it and against it.
TEST(Vsa, takes_the_lowest_index_of_equal_tiles_wherever_they_stand) {
  const std::int64_t topk = 5;
  for (const std::int64_t dim : {1, 20, 64})
    for (const auto& [tokens, tile] : {std::pair<std::int64_t, std::int64_t>{17, 1}, {370, 1}, {560, 64}}) {
      std::vector<float> q(static_cast<std::size_t>(tokens * dim)), k(q.size());
      for (std::size_t i = 0; i < q.size(); ++i) {
        const auto token = static_cast<std::int64_t>(i) / dim, c = static_cast<std::int64_t>(i) % dim;
        k[i] = std::sin(static_cast<float>(c) + 0.3f);
        q[i] = token / tile % 2 == 0 ? std::cos(static_cast<float>(i)) + k[i] : -k[i];
      }
      const Shape shape{1, 1, tokens, dim};
      const Tensor tq = Tensor::of<float>(shape, q), tk = Tensor::of<float>(shape, k);
      const Attributes attributes{{"grid", Ints{tokens}}, {"tile", Ints{tile}}, {"topk", topk}};
      const auto selection = evaluate(full_registry().at("tessera.attention::vsa"), attributes,
                                      std::vector<const Tensor*>{&tq, &tk, &tk}, 7)[6];
      const auto all = selection.read<std::int32_t>();
      for (std::int64_t row = 0; row < selection.dim(2); ++row)
        for (std::int64_t i = 0; i < topk; ++i)
          EXPECT_EQ(all[static_cast<std::size_t>(row * selection.dim(3) + i)], i)
              << dim << " of " << tokens << " row " << row;
    }
}

TEST(Vsa, shows_a_nan_as_dense_attention_does) {
  Tensor q = Tensor::zeros(DType::f32, {1, 1, 8, 1}), k = Tensor::zeros(DType::f32, {1, 1, 8, 1});
  k.write<float>()[6] = NAN;
  const Attributes attributes{{"grid", Ints{8}}, {"tile", Ints{2}}, {"topk", std::int64_t{1}}};
  const auto y =
      evaluate(full_registry().at("tessera.attention::vsa"), attributes, std::vector<const Tensor*>{&q, &k, &q}, 1)[0];
  for (const double x : doubles(y)) EXPECT_TRUE(std::isnan(x));
}

}  // namespace
}  // namespace tessera
