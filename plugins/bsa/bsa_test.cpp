// BSA against its definition in f64: every rule and fill, grids that windows and tiles do not divide, forward and
// backward. The choices are written down here a second time, plainly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "runtime/op/evaluate.h"
#include "runtime/tensor/text.h"
#include "tests/support/attention_case.h"
#include "tests/support/compare.h"
#include "tests/support/full_registry.h"
#include "tests/support/sparse_reference.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

using Ints = std::vector<std::int64_t>;

struct BsaCase {
  SparseCase sparse;
  Ints window;
  double keep_queries = 0.5;
  std::string fill = "center", kv_rule = "stat_prob";
  double kv_keep = 0.25, tau = 0.9;
  std::string center = "slot";
  std::int64_t center_slot = -1, force_center = 1, min_blocks = 1, max_blocks = 0;
};
void PrintTo(const BsaCase& c, std::ostream* out) {
  *out << c.fill << " " << c.kv_rule << " keep " << c.keep_queries << " " << c.kv_keep << " x" << c.sparse.amplitude;
}

Attributes attributes(const BsaCase& c) {
  return {{"grid", c.sparse.grid},
          {"tile", c.sparse.tile},
          {"window", c.window},
          {"keep_queries", static_cast<float>(c.keep_queries)},
          {"fill", c.fill},
          {"kv_rule", c.kv_rule},
          {"kv_keep", static_cast<float>(c.kv_keep)},
          {"tau", static_cast<float>(c.tau)},
          {"center", c.center},
          {"center_slot", c.center_slot},
          {"force_center", c.force_center},
          {"min_blocks", c.min_blocks},
          {"max_blocks", c.max_blocks}};
}

// Indices by descending value, the lowest index of equals first.
Ints ranked(const std::vector<double>& values) {
  Ints order;
  for (std::size_t i = 0; i < values.size(); ++i) order.push_back(static_cast<std::int64_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
  });
  return order;
}

std::int64_t rounded_up(double x) { return static_cast<std::int64_t>(std::ceil(std::round(x * 1e6) / 1e6)); }

double cosine(const double* a, const double* b, std::int64_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (std::int64_t i = 0; i < n; ++i) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
  return ab / std::sqrt(aa * bb);
}

// Sets r.source of one head from the token's coordinates: windows are counted inside each tile.
void choose_queries(const BsaCase& c, SparseReference& r, std::int64_t row) {
  const auto& grid = c.sparse.grid;
  const auto axes = grid.size();
  const std::int64_t dim = c.sparse.qk_dim;
  const auto query = [&](std::int64_t token) { return r.q.data() + (row * c.sparse.tokens() + token) * dim; };
  const auto coordinates = [&](std::int64_t token) {
    Ints at(axes);
    for (std::size_t a = axes; a-- > 0; token /= grid[a]) at[a] = token % grid[a];
    return at;
  };
  std::map<std::pair<std::int64_t, Ints>, Ints> windows;  // (tile, window in it) -> tokens, ascending
  for (std::int64_t token = 0; token < c.sparse.tokens(); ++token) {
    Ints window = coordinates(token);
    for (std::size_t a = 0; a < axes; ++a) window[a] = window[a] % c.sparse.tile[a] / c.window[a];
    windows[{r.tile_of[static_cast<std::size_t>(token)], window}].push_back(token);
  }
  auto& source = r.source[static_cast<std::size_t>(row)];
  for (const auto& [where, tokens] : windows) {
    const auto kept = std::max<std::int64_t>(1, rounded_up(c.keep_queries * static_cast<double>(tokens.size())));
    // The center: the coordinates of its slot in a whole window, each pulled back into this one.
    Ints first = coordinates(tokens.front()), last = coordinates(tokens.back());
    std::int64_t slot = c.center_slot, center = 0;
    Ints at(axes);
    for (std::size_t a = axes; a-- > 0;) {
      at[a] = c.center_slot < 0 ? c.window[a] / 2 : slot % c.window[a];
      slot /= c.window[a];
      at[a] = first[a] + std::min(at[a], last[a] - first[a]);
    }
    for (std::size_t a = 0; a < axes; ++a) center = center * grid[a] + at[a];
    std::vector<double> like(query(center), query(center) + dim);
    if (c.center == "mean") {
      std::fill(like.begin(), like.end(), 0);
      for (const auto token : tokens)
        for (std::int64_t d = 0; d < dim; ++d)
          like[static_cast<std::size_t>(d)] += query(token)[d] / static_cast<double>(tokens.size());
    }
    std::vector<double> unlike;
    for (const auto token : tokens)
      unlike.push_back(
          c.center == "slot" && c.force_center && token == center ? 2 : -cosine(query(token), like.data(), dim));
    Ints keep = ranked(unlike);
    keep.resize(static_cast<std::size_t>(kept));
    for (auto& i : keep) i = tokens[static_cast<std::size_t>(i)];
    std::sort(keep.begin(), keep.end());
    const auto is_kept = [&](std::int64_t token) { return std::find(keep.begin(), keep.end(), token) != keep.end(); };
    const auto best = [&](auto value) {
      std::vector<double> values;
      for (const auto token : keep) values.push_back(value(token));
      return keep[static_cast<std::size_t>(ranked(values)[0])];
    };
    // Indices inside the tile, for `nearest_flat`.
    const auto& tile = r.tokens_of[static_cast<std::size_t>(where.first)];
    const auto place = [&](std::int64_t token) {
      return static_cast<double>(std::find(tile.begin(), tile.end(), token) - tile.begin());
    };
    for (const auto token : tokens) {
      std::int64_t from = token;
      if (!is_kept(token)) {
        if (c.fill == "zero") from = -1;
        if (c.fill == "nearest_flat") from = best([&](auto k) { return -std::abs(place(k) - place(token)); });
        if (c.fill == "nearest_cos") from = best([&](auto k) { return cosine(query(k), query(token), dim); });
        if (c.fill == "center")
          from = c.center == "slot" && is_kept(center)
                     ? center
                     : best([&](auto k) { return cosine(query(k), like.data(), dim); });
      }
      source[static_cast<std::size_t>(token)] = from;
    }
  }
}

// U(p) by the rational approximation of Abramowitz and Stegun 26.2.23, refined by Newton's method.
double quantile(double p) {
  double x = 0;
  for (int i = 0; i < 100; ++i) {
    const double error = 0.5 * std::erfc(-x / std::sqrt(2.0)) - p;
    x -= std::clamp(error / (std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0))), -0.5, 0.5);
  }
  return x;
}

Ints choose_blocks(const BsaCase& c, const std::vector<double>& scores) {
  const auto n = static_cast<std::int64_t>(scores.size());
  std::vector<double> p;
  double sum = 0;
  for (const double s : scores)
    p.push_back(std::exp(s - *std::max_element(scores.begin(), scores.end()))), sum += p.back();
  for (double& x : p) x /= sum;
  const Ints order = ranked(scores);
  std::int64_t count = 0;
  if (c.kv_rule == "topk") count = rounded_up(c.kv_keep * static_cast<double>(n));
  if (c.kv_rule == "cdf") {
    double mass = 0;
    while (count < n && (mass < c.tau || c.tau >= 1))
      mass += p[static_cast<std::size_t>(order[static_cast<std::size_t>(count++)])];
  }
  if (c.kv_rule.starts_with("stat")) {
    const auto& x = c.kv_rule == "stat_prob" ? p : scores;
    double mean = 0, square = 0;
    for (const double v : x) mean += v / static_cast<double>(n);
    for (const double v : x) square += (v - mean) * (v - mean) / static_cast<double>(n);
    for (const double v : x) count += c.kv_keep >= 1 || v >= mean + std::sqrt(square) * quantile(1 - c.kv_keep);
  }
  count = std::max({count, std::int64_t{1}, c.min_blocks});
  if (c.max_blocks > 0) count = std::min(count, c.max_blocks);
  return {order.begin(), order.begin() + std::min(count, n)};
}

void choose(const BsaCase& c, SparseReference& r) {
  for (std::int64_t row = 0; row < c.sparse.batch * c.sparse.q_heads; ++row) choose_queries(c, r, row);
  r.choose([&](const auto& scores) { return choose_blocks(c, scores); });
}

struct Results {
  std::vector<Tensor> forward, backward;
};

Results run(const BsaCase& c, const SparseReference& r, DType t) {
  const auto& s = c.sparse;
  const DType wide = t == DType::f64 ? DType::f64 : DType::f32;
  const Tensor q = r.tensor(r.q, s.q_heads, s.qk_dim, t), k = r.tensor(r.k, s.kv_heads, s.qk_dim, t),
               v = r.tensor(r.v, s.kv_heads, s.v_dim, t), dy = r.tensor(r.dy, s.q_heads, s.v_dim, t),
               dlse = converted(Tensor::of<double>({s.batch, s.q_heads, s.tokens()}, r.dlse), wide);
  std::vector<const Tensor*> in{&q, &k, &v, nullptr, nullptr, nullptr, nullptr};
  Results results;
  results.forward = evaluate(full_registry().at("tessera.attention::bsa"), attributes(c), in, 7);
  in.insert(in.end(), {&results.forward[0], &results.forward[4], &dy, &dlse, &results.forward[6]});
  results.backward = evaluate(full_registry().at("tessera.attention::bsaGrad"), attributes(c), in, 3);
  return results;
}

void expect_near(const Tensor& got, const std::vector<double>& expected, double tolerance, const char* what) {
  EXPECT_LT(largest_error(doubles(got), expected), tolerance) << what;
}

const SparseCase small{
    .batch = 2, .q_heads = 2, .kv_heads = 2, .qk_dim = 16, .v_dim = 16, .grid = {5, 6, 7}, .tile = {4, 4, 4}};
const SparseCase grouped{.q_heads = 4, .kv_heads = 2, .qk_dim = 64, .v_dim = 64, .grid = {3, 9, 6}, .tile = {2, 4, 4}};
const SparseCase wide{.q_heads = 2, .kv_heads = 1, .qk_dim = 128, .v_dim = 128, .grid = {4, 8, 8}, .tile = {4, 4, 4}};
const SparseCase flat{.q_heads = 2, .kv_heads = 2, .qk_dim = 20, .v_dim = 12, .grid = {9, 10}, .tile = {3, 4}};

const BsaCase cases[] = {
    {.sparse = small, .window = {2, 2, 2}},
    {.sparse = small,
     .window = {4, 4, 4},
     .fill = "nearest_flat",
     .kv_rule = "cdf",
     .center_slot = 32,
     .force_center = 0},
    {.sparse = small, .window = {2, 2, 2}, .keep_queries = 0.3, .fill = "nearest_cos", .kv_rule = "stat_logit"},
    {.sparse = grouped, .window = {2, 2, 2}, .keep_queries = 0.75, .fill = "zero", .kv_rule = "topk"},
    {.sparse = grouped,
     .window = {1, 3, 2},
     .kv_rule = "stat_logit",
     .center = "mean",
     .min_blocks = 2,
     .max_blocks = 3},
    {.sparse = grouped, .window = {2, 2, 2}, .kv_rule = "cdf", .tau = 0.5, .force_center = 0},
    {.sparse = wide, .window = {2, 2, 2}, .kv_keep = 0.5},
    {.sparse = flat, .window = {2, 2}, .kv_rule = "cdf", .tau = 1, .max_blocks = 5},
    {.sparse = flat, .window = {3, 4}, .keep_queries = 0, .fill = "center", .kv_keep = 1},
};

class BsaReference : public testing::TestWithParam<std::tuple<BsaCase, double>> {
 protected:
  BsaCase c = [] {
    BsaCase c = std::get<0>(GetParam());
    c.sparse.amplitude = std::get<1>(GetParam());
    return c;
  }();
};

TEST_P(BsaReference, is_what_its_definition_says) {
  SparseReference r(c.sparse);
  choose(c, r);
  r.forward();
  r.backward();
  for (const DType t : {DType::f64, DType::f32}) {
    SCOPED_TRACE(name(t));
    const auto got = run(c, r, t);
    const std::int64_t largest = r.selection(0).dim(3);
    EXPECT_TRUE(same_bits(got.forward[6], r.selection(got.forward[6].dim(3) - largest)));
    const double tolerance = t == DType::f64 ? 1e-10 : 2e-6 * c.sparse.amplitude * c.sparse.amplitude + 1e-5;
    expect_near(got.forward[0], r.y, tolerance, "Y");
    expect_near(got.forward[5], r.density, 1e-6, "density");
    expect_near(got.backward[0], r.dq, tolerance, "dQ");
    expect_near(got.backward[1], r.dk, tolerance, "dK");
    expect_near(got.backward[2], r.dv, tolerance, "dV");
    // Queries that take another's output have no gradient at all, keys and values all have one.
    const auto dq = doubles(got.backward[0]), lse = doubles(got.forward[4]);
    for (std::size_t i = 0; i < lse.size(); ++i) {
      const bool computed =
          r.source[i / static_cast<std::size_t>(c.sparse.tokens())][i % static_cast<std::size_t>(c.sparse.tokens())] ==
          static_cast<std::int64_t>(i) % c.sparse.tokens();
      EXPECT_EQ(std::isfinite(lse[i]), computed);
      for (std::int64_t d = 0; !computed && d < c.sparse.qk_dim; ++d)
        EXPECT_EQ(dq[i * static_cast<std::size_t>(c.sparse.qk_dim) + static_cast<std::size_t>(d)], 0);
    }
  }
}

TEST_P(BsaReference, gives_the_same_bits_with_any_number_of_threads) {
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

INSTANTIATE_TEST_SUITE_P(Cases, BsaReference,
                         testing::Combine(testing::ValuesIn(cases), testing::Values(1.0, 4.0, 16.0)));

// Selection and output for one tile per axis step of a sequence; q as k and v.
std::vector<Tensor> call(const Tensor& x, Attributes attributes) {
  attributes.emplace("grid", Ints{x.dim(2)}), attributes.emplace("window", attributes.at("tile"));
  return evaluate(full_registry().at("tessera.attention::bsa"), attributes, std::vector<const Tensor*>{&x, &x, &x}, 7);
}

TEST(Bsa, takes_the_lowest_index_of_equal_queries_and_scores) {
  const Tensor same = Tensor::of<float>({1, 1, 6, 1}, std::vector<float>(6, 1));
  // The middle, slot 1 of 3, is kept, then the first of the others; both rows admit the first tile.
  const auto out = call(same, {{"tile", Ints{3}}, {"kv_rule", std::string("topk")}, {"kv_keep", 0.5f}});
  EXPECT_EQ(to_text(out[6]), "i32{{{{0, 0, 1, 1}, {0, 0, 1, 1}}}}");
  // Not forced, the center goes first where it is most like itself; equal ones stay in order.
  const auto free =
      call(same,
           {{"tile", Ints{3}}, {"kv_rule", std::string("topk")}, {"kv_keep", 0.5f}, {"force_center", std::int64_t{0}}});
  EXPECT_EQ(to_text(free[6]), "i32{{{{0, 0, 1, 1}, {0, 0, 1, 1}}}}");
}

TEST(Bsa, admits_every_tile_of_an_even_row) {
  const Tensor same = Tensor::of<float>({1, 1, 30, 1}, std::vector<float>(30, 0.3f));
  for (const char* rule : {"stat_prob", "stat_logit"}) {
    const auto out = call(same, {{"tile", Ints{2}}, {"kv_rule", std::string(rule)}});
    EXPECT_EQ(doubles(out[5]), std::vector<double>{0.5}) << rule;  // half of the queries, all of the keys
  }
  EXPECT_EQ(doubles(call(same, {{"tile", Ints{2}}, {"kv_keep", 0.0f}})[5]),
            std::vector<double>{static_cast<double>(0.5f / 15)});
}

TEST(Bsa, takes_no_rounding_of_scores_for_a_spread) {
  std::vector<float> x;
  for (int i = 0; i < 30; ++i) x.push_back(i % 6 < 2 ? std::nextafter(3.0f, 4.0f) : 3.0f);
  const Tensor nearly = Tensor::of<float>({1, 1, 30, 1}, x);
  for (const char* rule : {"stat_prob", "stat_logit"})
    EXPECT_EQ(doubles(call(nearly, {{"tile", Ints{2}}, {"kv_rule", std::string(rule)}})[5]), std::vector<double>{0.5})
        << rule;
}

TEST(Bsa, admits_no_more_tiles_than_the_mass_takes) {
  const struct {
    std::int64_t tiles;
    float tau;
    double share;
  } counts[] = {{10, 0.9f, 0.9}, {10, 0.3f, 0.3}, {20, 0.9f, 0.9}, {40, 0.9f, 0.9}, {10, 0.35f, 0.4}};
  for (const auto& c : counts) {
    const Tensor even = Tensor::zeros(DType::f32, {1, 1, c.tiles, 1});
    const auto out = call(even, {{"tile", Ints{1}}, {"kv_rule", std::string("cdf")}, {"tau", c.tau}});
    EXPECT_NEAR(doubles(out[5])[0], c.share, 1e-6) << c.tau << " of " << c.tiles;
  }
}

TEST(Bsa, shows_a_nan_wherever_it_stands_in_its_window) {
  const Tensor k = Tensor::zeros(DType::f32, {1, 1, 8, 1});
  const std::pair<const char*, Attribute> settings[] = {
      {"center", std::string("slot")}, {"force_center", std::int64_t{0}}, {"center", std::string("mean")}};
  for (const auto& setting : settings)
    for (std::size_t at = 0; at < 4; ++at) {
      std::vector<float> x(8, 1);
      x[at] = NAN;
      const Tensor q = Tensor::of<float>({1, 1, 8, 1}, x);
      const Attributes attributes{
          {"grid", Ints{8}}, {"tile", Ints{4}}, {"window", Ints{4}}, {"kv_keep", 1.0f}, setting};
      const auto y = doubles(evaluate(full_registry().at("tessera.attention::bsa"), attributes,
                                      std::vector<const Tensor*>{&q, &k, &k}, 1)[0]);
      EXPECT_TRUE(std::isnan(y[at])) << setting.first << " " << at;
      for (std::size_t i = 4; i < 8; ++i) EXPECT_EQ(y[i], 0) << setting.first << " " << at;
    }
}

TEST(Bsa, keeps_a_query_that_is_not_a_number) {
  std::vector<float> x(8, 1);
  x[1] = NAN;
  const Tensor q = Tensor::of<float>({1, 1, 8, 1}, x), k = Tensor::zeros(DType::f32, {1, 1, 8, 1});
  const Attributes attributes{{"grid", Ints{8}}, {"tile", Ints{4}}, {"window", Ints{4}}, {"kv_keep", 1.0f}};
  const auto y = doubles(
      evaluate(full_registry().at("tessera.attention::bsa"), attributes, std::vector<const Tensor*>{&q, &k, &k}, 1)[0]);
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i == 1) << i;
}

TEST(Bsa, refuses_parameters_that_do_not_go_together) {
  const Tensor x = Tensor::zeros(DType::f32, {1, 1, 8, 1});
  const auto failure = [&](Attributes a) -> std::string {
    a.emplace("tile", Ints{4});
    try {
      call(x, a);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  using testing::HasSubstr;
  EXPECT_THAT(failure({{"window", Ints{2, 2}}}),
              HasSubstr("'window' [2, 2] (where not given, [2, 2, 2]) must have as many axes as 'tile' [4]"));
  EXPECT_THAT(failure({{"window", Ints{5}}}),
              HasSubstr("'window' [5] (where not given, [2, 2, 2]) is larger than 'tile' [4]"));
  EXPECT_THAT(failure({{"center_slot", std::int64_t{4}}}), HasSubstr("'center_slot' is outside the window"));
  EXPECT_THAT(failure({{"min_blocks", std::int64_t{3}}, {"max_blocks", std::int64_t{2}}}),
              HasSubstr("'min_blocks' is larger than 'max_blocks'"));
  EXPECT_THAT(failure({{"fill", std::string("nearest")}}),
              HasSubstr("'fill' must be center, nearest_flat, nearest_cos or zero, got 'nearest'"));
}

}  // namespace
}  // namespace tessera
