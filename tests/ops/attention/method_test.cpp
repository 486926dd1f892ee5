// From the record of a method to its operators: parameters, ports, refusals, broken contracts, full methods.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/attention/method.h"
#include "ops/attention/selection.h"
#include "runtime/op/evaluate.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/full_registry.h"

namespace tessera {
namespace {

using Ints = std::vector<std::int64_t>;
using testing::HasSubstr;

template <class F>
std::string failure(F&& f, Code code = Code::bad_input) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    return e.what();
  }
  return "no error";
}

const std::vector<MethodParameter> schema{{"share", AttributeType::real, "0.5", 0, 0.9, {}, ""},
                                          {"count", AttributeType::integer, "", 1, INFINITY, {}, ""},
                                          {"flag", AttributeType::integer, "true", 0, 1, {}, ""},
                                          {"rule", AttributeType::text, "near", 0, 0, "near|far", ""},
                                          {"tile", AttributeType::integers, "[4, 2]", 1, 64, {}, ""},
                                          {"size", AttributeType::integer, "required", -3, 3, {}, ""}};

TEST(MethodParameters, fill_in_defaults_and_read_what_was_written) {
  const MethodParameters p(schema, {{"size", std::int64_t{2}}, {"scale", 0.5f}});
  EXPECT_EQ(p.real("share"), 0.5);
  EXPECT_FALSE(p.has("count"));
  EXPECT_EQ(p.integer("flag"), 1);
  EXPECT_EQ(p.text("rule"), "near");
  EXPECT_EQ(p.integers("tile"), (Ints{4, 2}));
  EXPECT_EQ(p.integer("size"), 2);
  EXPECT_EQ(p.real("size"), 2.0);
  // Attributes are f32; 0.9 is meant, and is not above the bound 0.9.
  EXPECT_EQ(MethodParameters(schema, {{"size", std::int64_t{0}}, {"share", 0.9f}}).real("share"), 0.9);
}

TEST(MethodParameters, say_what_is_wrong) {
  const auto given = [](Attributes a) {
    a.emplace("size", std::int64_t{0});
    return failure([&] { MethodParameters(schema, a); });
  };
  EXPECT_EQ(given({}), "no error");
  EXPECT_EQ(failure([] { MethodParameters(schema, {}); }),
            "parameter 'size' is missing: it must be an integer from -3 to 3");
  EXPECT_EQ(given({{"share", 1.0f}}), "parameter 'share' must be a number from 0 to 0.9, got 1");
  EXPECT_EQ(given({{"share", std::string("x")}}), "parameter 'share' must be a number from 0 to 0.9, got \"x\"");
  EXPECT_EQ(given({{"share", NAN}}), "parameter 'share' must be a number from 0 to 0.9, got nan");
  EXPECT_EQ(given({{"count", std::int64_t{0}}}), "parameter 'count' must be an integer >= 1, got 0");
  EXPECT_EQ(given({{"count", 1.0f}}), "parameter 'count' must be an integer >= 1, got 1");
  EXPECT_EQ(given({{"rule", std::string("mid")}}), "parameter 'rule' must be near or far, got \"mid\"");
  EXPECT_EQ(given({{"tile", Ints{4, 0}}}), "parameter 'tile' must be a list of integers from 1 to 64, got [4, 0]");
  const auto parsed = [](std::size_t i, std::string_view text) {
    return failure([&] { parse_parameter(schema[i], text); });
  };
  EXPECT_EQ(parsed(0, " 0.25 "), "no error");
  EXPECT_EQ(parsed(4, "[ 1,2 ]"), "no error");
  EXPECT_EQ(parsed(0, "half"), "parameter 'share' must be a number from 0 to 0.9, got 'half'");
  EXPECT_EQ(parsed(4, "[1 2]"), "parameter 'tile' must be a list of integers from 1 to 64, got '[1 2]'");
  EXPECT_EQ(parsed(2, "yes"), "parameter 'flag' must be true (1) or false (0), got 'yes'");
}

TEST(Methods, are_found_by_name_and_by_operator) {
  const Registry& registry = full_registry();
  ASSERT_NE(find_method("dense"), nullptr);
  ASSERT_NE(find_method("vsa"), nullptr);
  EXPECT_EQ(find_method("by_head"), nullptr);
  EXPECT_EQ(all_methods().front(), find_method("dense"));
  for (const char* name : {"dense", "vsa", "bsa"})
    for (const char* suffix : {"", "Grad"})
      EXPECT_EQ(method_of(registry.at(concat("tessera.attention::", name, suffix))), find_method(name))
          << name << suffix;
  EXPECT_EQ(method_of(registry.at("tessera.attention::by_head")), nullptr);
  EXPECT_EQ(method_of(registry.at("Attention")), nullptr);
}

std::unique_ptr<AttentionMethod> selector(std::string name) {
  auto m = std::make_unique<AttentionMethod>();
  m->name = std::move(name), m->doc = "For tests.", m->source = "this file";
  m->parameters = {{"tile", AttributeType::integers, "[2]", 1, 64, {}, "tokens"}};
  m->select = [](const AttentionMethod&, const MethodCall&, const SelectTask&) {};
  return m;
}

TEST(Methods, refuse_incomplete_records) {
  const auto refused = [](auto change) {
    auto m = selector("test_incomplete");
    change(*m);
    return failure([&] { make_operator(std::move(m)); }, Code::plugin);
  };
  EXPECT_THAT(refused([](auto& m) { m.doc.clear(); }), HasSubstr("a name, a documentation and a source"));
  EXPECT_THAT(refused([](auto& m) { m.select = nullptr; }), HasSubstr("either select or forward"));
  EXPECT_THAT(refused([](auto& m) { m.parameters.clear(); }), HasSubstr("needs a parameter 'tile'"));
  EXPECT_THAT(refused([](auto& m) {
                m.inputs.push_back({"x", "", dtypes::floats, false});
              }),
              HasSubstr("no inputs of its own"));
  EXPECT_THAT(refused([](auto& m) {
                m.parameters.push_back({"scale", AttributeType::real, "", 0, 1, {}, ""});
              }),
              HasSubstr("under the name of an attribute"));
  EXPECT_THAT(refused([](auto& m) {
                m.coarse_gate = true;
                m.keep = [](const AttentionMethod&, const MethodCall&, const KeepTask&) {};
              }),
              HasSubstr("both keep and a coarse gate"));
  EXPECT_THAT(refused([](auto& m) { m.name = "test_Grad"; }), HasSubstr("ends as those of gradients do"));
  EXPECT_THAT(refused([](auto& m) { m.parameters[0].fallback.clear(); }), HasSubstr("it cuts the grid"));
  EXPECT_THAT(refused([](auto& m) {
                m.select = nullptr;
                m.forward = [](const AttentionMethod&, const MethodCall&, const MethodTensors&) {};
                m.parameters.clear();
                m.inputs.push_back({"K", "of its own", dtypes::floats, true});
              }),
              HasSubstr("under the name of one that every attention has"));
  EXPECT_EQ(find_method("test_incomplete"), nullptr);
  EXPECT_EQ(failure([] { make_operator(selector("dense")); }, Code::plugin),
            "an attention method 'dense' is there already");
}

// A policy gives it heads 1 and 3 of four.
TEST(Methods, are_told_the_heads_of_the_attention) {
  auto m = selector("test_heads");
  m->select = [](const AttentionMethod&, const MethodCall&, const SelectTask& t) {
    for (auto& list : t.lists) list = {static_cast<std::int32_t>(t.head)};
  };
  make_operator(std::move(m));
  const AttentionShape shape{1, 2, 2, 8, 8, 4, 4};
  const Ints grid{8};
  const PlannedMethod planned(*find_method("test_heads"), shape, 1, grid, {}, {.first = 1, .step = 2, .n = 2});
  const std::vector<float> zeros(64);
  const AttentionView<const float> x{zeros.data(), 64, 32, 4};
  EXPECT_THAT(select<float>(planned, x, x).lists.tile, testing::ElementsAre(1, 1, 1, 1, 3, 3, 3, 3));
}

std::string broken(std::string name, void (*select)(const AttentionMethod&, const MethodCall&, const SelectTask&),
                   void (*keep)(const AttentionMethod&, const MethodCall&, const KeepTask&) = nullptr) {
  auto m = selector(std::move(name));
  m->select = select;
  m->keep = keep;
  m->width = [](const AttentionMethod&, const MethodCall&) -> std::int64_t { return 2; };
  const auto operators = make_operator(std::move(m));
  const Tensor x = Tensor::zeros(DType::f32, {1, 1, 8, 4});
  const std::vector<const Tensor*> in{&x, &x, &x};
  return failure([&] { evaluate(*operators.forward, {{"grid", Ints{8}}}, in, 7); }, Code::plugin);
}

TEST(Methods, are_caught_when_they_break_their_contract) {
  EXPECT_EQ(broken("test_twice",
                   [](const auto&, const auto&, const SelectTask& t) {
                     t.lists[1] = {1, 1};
                   }),
            "key tile 1 twice in a list");
  EXPECT_EQ(broken("test_beyond", [](const auto&, const auto&, const SelectTask& t) { t.lists[0] = {4}; }),
            "key tile 4 of 4");
  EXPECT_EQ(broken("test_negative", [](const auto&, const auto&, const SelectTask& t) { t.lists[0] = {-1}; }),
            "key tile -1 of 4");
  EXPECT_EQ(broken("test_long",
                   [](const auto&, const auto&, const SelectTask& t) {
                     t.lists[3] = {0, 1, 2};
                   }),
            "a list of 3 key tiles, longer than 2");
  EXPECT_EQ(broken("test_missing", [](const auto&, const auto&, const SelectTask& t) { t.lists.pop_back(); }),
            "3 lists for 4 query tiles");
  EXPECT_EQ(broken("test_empty", [](const auto&, const auto&, const SelectTask&) {}), "no error");
  EXPECT_EQ(broken(
                "test_source", [](const auto&, const auto&, const SelectTask&) {},
                [](const auto&, const auto&, const KeepTask& t) { t.source[0] = 1, t.source[1] = 0; }),
            "token source 1 is no computed token of its tile of 2");
}

// A full method: y = own * mean of V over all keys, whatever the query.
void forward(const AttentionMethod&, const MethodCall& c, const MethodTensors& t) {
  const double factor = t.inputs[0] ? t.inputs[0]->read<double>()[0] : 1;
  const auto& s = c.shape;
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (std::int64_t h = 0; h < s.q_heads; ++h)
      for (std::int64_t i = 0; i < s.q_len; ++i)
        for (std::int64_t d = 0; d < s.v_dim; ++d) {
          double sum = 0;
          for (std::int64_t j = 0; j < s.kv_len; ++j)
            sum += static_cast<const double*>(
                t.v.data)[b * t.v.batch_stride + h * t.v.head_stride + j * t.v.row_stride + d];
          static_cast<double*>(t.y.data)[b * t.y.batch_stride + h * t.y.head_stride + i * t.y.row_stride + d] =
              factor * sum / static_cast<double>(s.kv_len);
        }
  std::fill_n(static_cast<double*>(t.lse), s.batch * s.q_heads * s.q_len, 0.0);
}

void backward(const AttentionMethod&, const MethodCall& c, const MethodTensors& t) {
  const double factor = t.inputs[0]->read<double>()[0];
  const auto& s = c.shape;
  double dfactor = 0;
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (std::int64_t h = 0; h < s.q_heads; ++h) {
      const auto at = [&](const auto& v, std::int64_t i) {
        return b * v.batch_stride + h * v.head_stride + i * v.row_stride;
      };
      for (std::int64_t i = 0; i < s.q_len; ++i)
        for (std::int64_t d = 0; d < s.qk_dim; ++d) static_cast<double*>(t.dq.data)[at(t.dq, i) + d] = 0;
      for (std::int64_t j = 0; j < s.kv_len; ++j)
        for (std::int64_t d = 0; d < s.qk_dim; ++d) static_cast<double*>(t.dk.data)[at(t.dk, j) + d] = 0;
      for (std::int64_t d = 0; d < s.v_dim; ++d) {
        double sum = 0;
        for (std::int64_t i = 0; i < s.q_len; ++i) {
          const double dy = static_cast<const double*>(t.dy.data)[at(t.dy, i) + d];
          sum += dy;
          dfactor += dy * static_cast<const double*>(t.y.data)[at(t.y, i) + d] / factor;
        }
        for (std::int64_t j = 0; j < s.kv_len; ++j)
          static_cast<double*>(t.dv.data)[at(t.dv, j) + d] = factor * sum / static_cast<double>(s.kv_len);
      }
    }
  if (t.dinputs[0]) t.dinputs[0]->write<double>()[0] = dfactor;
}

TEST(Methods, may_bring_their_own_forward_and_backward) {
  auto m = std::make_unique<AttentionMethod>();
  m->name = "test_mean", m->doc = "The mean of V.", m->source = "this file";
  m->inputs = {{"factor", "a number", dtypes::floats, true}};
  m->forward = forward, m->backward = backward;
  m->pairs = [](const AttentionMethod&, const MethodCall& c) {
    return 0.25 * static_cast<double>(c.shape.q_len * c.shape.kv_len);
  };
  const auto operators = make_operator(std::move(m));
  EXPECT_EQ(operators.forward->outputs.size(), 6u);  // a full method selects nothing
  const Tensor v = Tensor::of<double>({1, 1, 2, 1}, std::vector<double>{1, 3}),
               factor = Tensor::of<double>({1}, std::vector<double>{2});
  const std::vector<const Tensor*> in{&v, &v, &v, nullptr, nullptr, nullptr, nullptr, &factor};
  const auto out = evaluate(*operators.forward, {}, in, 6);
  EXPECT_TRUE(close(out[0], Tensor::of<double>({1, 1, 2, 1}, std::vector<double>{4, 4})));
  EXPECT_EQ(doubles(out[5]), std::vector<double>{0.25});
  Registry registry = full_registry();
  registry.add(*operators.forward);
  registry.add(*operators.backward);
  EXPECT_THAT(gradient_errors(*operators.forward, {}, {v, v, v, {}, {}, {}, {}, factor}, {true}, {}, registry),
              testing::IsEmpty());
}

TEST(Methods, refuse_what_only_dense_can_honour) {
  const Tensor x = Tensor::zeros(DType::f32, {1, 1, 8, 4}), mask = Tensor::zeros(DType::f32, {8, 8}),
               lengths = Tensor::vector({8});
  const auto refused = [&](std::vector<const Tensor*> more, Attributes attributes = {}) {
    std::vector<const Tensor*> in{&x, &x, &x};
    in.insert(in.end(), more.begin(), more.end());
    attributes.emplace("grid", Ints{8}), attributes.emplace("tile", Ints{4}),
        attributes.emplace("topk", std::int64_t{1});
    return failure([&] { evaluate(full_registry().at("tessera.attention::vsa"), attributes, in, 1); });
  };
  EXPECT_EQ(refused({}), "no error");
  EXPECT_EQ(refused({&mask}), "'vsa' cannot honour a mask (attn_mask)");
  EXPECT_EQ(refused({nullptr, &x, &x}), "'vsa' cannot honour a key-value cache (past_key, past_value)");
  EXPECT_EQ(refused({nullptr, nullptr, nullptr, &lengths}), "'vsa' cannot honour padded keys (nonpad_kv_seqlen)");
  EXPECT_EQ(refused({}, {{"is_causal", std::int64_t{1}}}), "'vsa' cannot honour causality (is_causal)");
  EXPECT_EQ(refused({}, {{"softcap", 2.0f}}), "'vsa' cannot honour softcap");
  EXPECT_EQ(refused({}, {{"grid", Ints{2, 2}}}), "grid [2x2] does not hold the 8 tokens");
  EXPECT_EQ(refused({}, {{"grid", Ints{0}}}), "grid [0] has an axis without tokens; 'vsa' needs at least one token");
  EXPECT_EQ(refused({}, {{"grid", Ints{2, 4}}}), "parameter 'tile' has 1 axes, the grid [2x4] has 2");
  EXPECT_EQ(refused({nullptr, nullptr, nullptr, nullptr, &mask}), "gate [8x8] must be [1x1x8x4]");
  EXPECT_THAT(refused({}, {{"sparsity", 0.5f}}), HasSubstr("give exactly one of 'sparsity' and 'topk'"));
}

TEST(Methods, refuse_cross_attention_and_selections_that_do_not_fit) {
  const Tensor x = Tensor::zeros(DType::f32, {1, 1, 8, 4}), y = Tensor::zeros(DType::f32, {1, 1, 6, 4});
  const OpDef& vsa = full_registry().at("tessera.attention::vsa");
  Attributes attributes{{"grid", Ints{8}}, {"tile", Ints{4}}, {"topk", std::int64_t{1}}};
  const std::vector<const Tensor*> cross{&x, &y, &y};
  EXPECT_EQ(failure([&] { evaluate(vsa, attributes, cross, 1); }),
            "'vsa' has one grid for queries and keys, but there are 8 queries and 6 keys (cross-attention)");
  const auto with = [&](std::vector<std::int32_t> rows, std::int64_t width) {
    const Tensor selection = Tensor::of<std::int32_t>({1, 1, 2, width}, rows);
    const std::vector<const Tensor*> in{&x, &x, &x, nullptr, nullptr, nullptr, nullptr, nullptr, &selection};
    return failure([&] { evaluate(vsa, attributes, in, 1); });
  };
  EXPECT_EQ(with({0, 0, 1, 2, 3, 1, 0, 1, 2, 3}, 5), "no error");
  EXPECT_EQ(with({0, 0, 1, 2, 1, 0, 1, 2}, 4), "selection [1x1x2x4] must be [1x1x2x5]");
  EXPECT_EQ(with({2, 0, 1, 2, 3, 1, 0, 1, 2, 3}, 5), "key tile 2 of 2");
  EXPECT_EQ(with({0, 0, 1, 4, 3, 1, 0, 1, 2, 3}, 5), "token source 4 is no computed token of its tile of 4");
  EXPECT_EQ(with({0, 0, 0, 2, 3, 1, 0, 1, 2, 3}, 5),
            "selection: 'vsa' computes every query, but a token's source is not the token itself");
  attributes["topk"] = std::int64_t{2};
  EXPECT_EQ(with({1, -1, 0, 1, 2, 3, 0, 1, 0, 1, 2, 3}, 6), "no error");
  EXPECT_EQ(with({-1, 0, 0, 1, 2, 3, 0, 1, 0, 1, 2, 3}, 6), "selection: key tile 0 behind the -1 that ends its list");
}

}  // namespace
}  // namespace tessera
