// by_head against its methods called one by one on all heads.
#include <gtest/gtest.h>

#include "ops/attention/head_runs.h"
#include "runtime/op/evaluate.h"
#include "tests/support/attention_case.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/full_registry.h"
#include "tests/support/sparse_reference.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

using Ints = std::vector<std::int64_t>;

struct Choice {
  std::string method;     // for the operator
  Attributes parameters;  // the same as `text` says
  std::string text;
};

const Choice dense{"dense", {}, "dense"};
const Choice vsa{"vsa", {{"tile", Ints{2, 2, 2}}, {"sparsity", 0.75f}}, "vsa tile=[2, 2, 2] sparsity=0.75"};
const Choice bsa{"bsa",
                 {{"tile", Ints{2, 4, 2}}, {"window", Ints{2, 2, 2}}, {"kv_keep", 0.5f}, {"fill", std::string("zero")}},
                 "bsa  tile=[2,4,2] window=[2, 2, 2] kv_keep=0.5 fill=zero"};

struct HeadCase {
  std::int64_t q_heads, kv_heads;
  std::vector<Choice> choices;
  Ints of_head;
};

SparseCase sparse_case(const HeadCase& c) {
  return {.batch = 2,
          .q_heads = c.q_heads,
          .kv_heads = c.kv_heads,
          .qk_dim = 16,
          .v_dim = 12,
          .grid = {3, 5, 4},
          .tile = {2, 2, 2},
          .gated = true};
}

// The operands of one call; dy of heads that do not go by `only` (an index into choices) is zero.
struct Operands {
  Tensor q, k, v, gate, dy, dlse;
  Operands(const HeadCase& c, const SparseReference& r, DType t, std::int64_t only = -1) {
    const auto& s = r.c;
    auto dy_values = r.dy, dlse_values = r.dlse;
    for (std::size_t i = 0; i < dlse_values.size(); ++i) {
      const auto head = static_cast<std::int64_t>(i) / s.tokens() % s.q_heads;
      if (only < 0 || c.of_head[static_cast<std::size_t>(head)] == only) continue;
      dlse_values[i] = 0;
      for (std::int64_t d = 0; d < s.v_dim; ++d)
        dy_values[i * static_cast<std::size_t>(s.v_dim) + static_cast<std::size_t>(d)] = 0;
    }
    q = r.tensor(r.q, s.q_heads, s.qk_dim, t), k = r.tensor(r.k, s.kv_heads, s.qk_dim, t);
    v = r.tensor(r.v, s.kv_heads, s.v_dim, t), gate = r.tensor(r.gate, s.q_heads, s.v_dim, t);
    dy = r.tensor(dy_values, s.q_heads, s.v_dim, t);
    dlse = converted(Tensor::of<double>({s.batch, s.q_heads, s.tokens()}, dlse_values), t);
  }
};

struct Results {
  std::vector<Tensor> forward, backward;
};

Results run(const std::string& method, Attributes attributes, const Operands& o, const Ints& grid) {
  const bool dense = method == "dense", gated = method == "vsa" || method == "by_head";
  attributes.emplace("grid", grid);
  std::vector<const Tensor*> in{&o.q, &o.k, &o.v, nullptr, nullptr, nullptr, nullptr};
  if (gated) in.push_back(&o.gate);
  Results results;
  results.forward = evaluate(full_registry().at("tessera.attention::" + method), attributes, in, 7);
  if (dense) attributes.clear();
  in.insert(in.end(), {&results.forward[0], &results.forward[4], &o.dy, &o.dlse});
  if (!dense) in.push_back(&results.forward[6]);
  results.backward =
      evaluate(full_registry().at("tessera.attention::" + method + "Grad"), attributes, in, gated ? 4 : 3);
  return results;
}

Results run(const HeadCase& c, const Operands& o, const Ints& grid) {
  std::vector<std::string> methods;
  for (const auto& choice : c.choices) methods.push_back(choice.text);
  return run("by_head", {{"methods", methods}, {"head_method", c.of_head}}, o, grid);
}

const HeadCase cases[] = {
    {3, 3, {dense, vsa, bsa}, {0, 1, 2}},           {4, 4, {vsa, dense}, {0, 1, 0, 1}},
    {4, 2, {bsa, vsa, dense}, {0, 1, 0, 2}},         // groups are split
    {6, 2, {vsa, dense}, {0, 0, 1, 0, 0, 1}},        // and in uneven runs
    {8, 2, {dense, vsa}, {1, 1, 1, 1, 1, 1, 1, 1}},  // one entry has no heads
    {6, 1, {vsa, bsa, dense}, {2, 1, 0, 0, 1, 1}},
};

class ByHead : public testing::TestWithParam<HeadCase> {};

TEST_P(ByHead, gives_each_head_what_its_method_gives) {
  const HeadCase& c = GetParam();
  const SparseReference r(sparse_case(c));
  const auto& s = r.c;
  const auto all = run(c, Operands(c, r, DType::f64), s.grid);
  std::vector<std::vector<double>> sum(3);
  for (std::size_t m = 0; m < c.choices.size(); ++m) {
    const auto one = run(c.choices[m].method, c.choices[m].parameters,
                         Operands(c, r, DType::f64, static_cast<std::int64_t>(m)), s.grid);
    // Rows of heads, of several sizes, that belong to this method.
    const auto expect_rows = [&](const Tensor& got, const Tensor& expected, const char* what) {
      const auto a = doubles(got), b = doubles(expected);
      const std::size_t row = a.size() / static_cast<std::size_t>(s.batch * s.q_heads);
      std::vector<double> mine, wanted;
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (c.of_head[i / row % static_cast<std::size_t>(s.q_heads)] != static_cast<std::int64_t>(m)) continue;
        mine.push_back(a[i]), wanted.push_back(b[i]);
      }
      EXPECT_LT(largest_error(mine, wanted), 1e-12) << what << " of " << c.choices[m].text;
    };
    expect_rows(all.forward[0], one.forward[0], "Y");
    expect_rows(all.forward[4], one.forward[4], "lse");
    expect_rows(all.forward[5], one.forward[5], "density");
    expect_rows(all.backward[0], one.backward[0], "dQ");
    if (c.choices[m].method == "vsa") {
      expect_rows(all.backward[3], one.backward[3], "dgate");
    } else {
      expect_rows(all.backward[3], Tensor::zeros(DType::f64, all.backward[3].shape()), "dgate");
    }
    for (const std::size_t i : {1, 2}) {
      const auto part = doubles(one.backward[i]);
      sum[i].resize(part.size());
      for (std::size_t j = 0; j < part.size(); ++j) sum[i][j] += part[j];
    }
  }
  EXPECT_LT(largest_error(doubles(all.backward[1]), sum[1]), 1e-12) << "dK";
  EXPECT_LT(largest_error(doubles(all.backward[2]), sum[2]), 1e-12) << "dV";
}

TEST_P(ByHead, gives_the_same_bits_with_any_number_of_threads_and_with_its_own_selection) {
  const HeadCase& c = GetParam();
  const SparseReference r(sparse_case(c));
  const Operands o(c, r, DType::f32);
  Results one, many;
  with_threads(1, [&] { one = run(c, o, r.c.grid); });
  with_threads(4, [&] { many = run(c, o, r.c.grid); });
  for (std::size_t i = 0; i < one.forward.size(); ++i) EXPECT_TRUE(same_bits(one.forward[i], many.forward[i])) << i;
  for (std::size_t i = 0; i < one.backward.size(); ++i) EXPECT_TRUE(same_bits(one.backward[i], many.backward[i])) << i;

  std::vector<std::string> methods;
  for (const auto& choice : c.choices) methods.push_back(choice.text);
  const std::vector<const Tensor*> in{&o.q, &o.k, &o.v, nullptr, nullptr, nullptr, nullptr, &o.gate, &one.forward[6]};
  const auto frozen = evaluate(full_registry().at("tessera.attention::by_head"),
                               {{"methods", methods}, {"head_method", c.of_head}, {"grid", r.c.grid}}, in, 7);
  for (std::size_t i = 0; i < frozen.size(); ++i) EXPECT_TRUE(same_bits(one.forward[i], frozen[i])) << i;
}

INSTANTIATE_TEST_SUITE_P(Cases, ByHead, testing::ValuesIn(cases));

TEST(HeadRuns, are_arithmetic_and_read_keys_evenly) {
  const auto runs = [](Ints heads, std::int64_t group) { return head_runs(heads, group); };
  using Runs = std::vector<HeadRun>;
  EXPECT_EQ(runs({0, 1, 2, 3}, 1), (Runs{{0, 1, 4, 0, 1, 4}}));
  EXPECT_EQ(runs({0, 2, 4}, 1), (Runs{{0, 2, 3, 0, 2, 3}}));
  EXPECT_EQ(runs({0, 1, 2, 3}, 2), (Runs{{0, 1, 4, 0, 1, 2}}));
  EXPECT_EQ(runs({1, 3}, 2), (Runs{{1, 2, 2, 0, 1, 2}}));
  EXPECT_EQ(runs({1, 2, 3}, 2), (Runs{{1, 1, 2, 0, 1, 2}, {3, 1, 1, 1, 1, 1}}));
  EXPECT_EQ(runs({0, 1, 5}, 3), (Runs{{0, 1, 2, 0, 1, 1}, {5, 1, 1, 1, 1, 1}}));
  EXPECT_TRUE(runs({}, 1).empty());
}

std::string failure(const std::vector<std::string>& methods, Ints head_method, Attributes more = {}) {
  const Tensor x = Tensor::zeros(DType::f32, {1, 2, 8, 4});
  more.emplace("methods", methods), more.emplace("head_method", std::move(head_method));
  const std::vector<const Tensor*> in{&x, &x, &x};
  try {
    evaluate(full_registry().at("tessera.attention::by_head"), more, in, 1);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(ByHead, says_what_is_wrong_with_its_attributes) {
  EXPECT_EQ(failure({"dense"}, {0, 0}), "no error");
  EXPECT_EQ(failure({"dense"}, {0}), "head_method has 1 entries for 2 heads");
  EXPECT_EQ(failure({"dense"}, {0, 1}), "head_method 1 is none of the 1 methods");
  EXPECT_EQ(failure({"dens"}, {0, 0}), "no attention method 'dens'; did you mean 'dense'?");
  EXPECT_EQ(failure({"vsa tiles=[2]"}, {0, 0}), "'vsa' has no parameter 'tiles'; did you mean 'tile'?");
  EXPECT_EQ(failure({"vsa tile"}, {0, 0}), "'vsa tile': parameters are written name=value");
  EXPECT_EQ(failure({"vsa topk=1 topk=2"}, {0, 0}), "'vsa topk=1 topk=2': parameter 'topk' twice");
  EXPECT_EQ(failure({"vsa sparsity=2"}, {0, 0}), "parameter 'sparsity' must be a number from 0 to 1, got 2");
  EXPECT_EQ(failure({"vsa tile=[2"}, {0, 0}), "parameter 'tile' must be a list of integers from 1 to 65536, got '[2'");
  EXPECT_EQ(failure({"vsa tile=[2] topk=1"}, {0, 0}),
            "'vsa' cuts a grid of tokens into tiles and needs attribute 'grid', [T, H, W]");
  EXPECT_EQ(failure({"vsa tile=[2] topk=1"}, {0, 0}, {{"grid", Ints{7}}}), "grid [7] does not hold the 8 tokens");
  EXPECT_EQ(failure({"vsa tile=[2] topk=1"}, {0, 0}, {{"grid", Ints{2, 4}}}),
            "parameter 'tile' has 1 axes, the grid [2x4] has 2");
  EXPECT_EQ(failure({"dense"}, {0, 0}, {{"is_causal", std::int64_t{1}}}),
            "'by_head' cannot honour causality (is_causal)");
}

}  // namespace
}  // namespace tessera
