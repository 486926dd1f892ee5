// The sparse methods as operators among others: gradients with the choice frozen, packed operands, graph files, dense
// attention as a special case.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/load/load.h"
#include "runtime/op/evaluate.h"
#include "runtime/session/session.h"
#include "tests/support/attention_case.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/full_registry.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/sparse_reference.h"

namespace tessera {
namespace {

using Ints = std::vector<std::int64_t>;
using testing::IsEmpty;

const OpDef& op(std::string_view name) { return full_registry().at(concat("tessera.attention::", name)); }

std::vector<const Tensor*> pointers(const std::vector<Tensor>& tensors) {
  std::vector<const Tensor*> p;
  for (const auto& t : tensors) p.push_back(t ? &t : nullptr);
  return p;
}

// Q, K, V and the absent ONNX inputs; then the gate where there is one.
std::vector<Tensor> operands(const SparseReference& r, DType t) {
  const auto& s = r.c;
  std::vector<Tensor> in{r.tensor(r.q, s.q_heads, s.qk_dim, t),
                         r.tensor(r.k, s.kv_heads, s.qk_dim, t),
                         r.tensor(r.v, s.kv_heads, s.v_dim, t),
                         {},
                         {},
                         {},
                         {}};
  if (s.gated) in.push_back(r.tensor(r.gate, s.q_heads, s.v_dim, t));
  return in;
}

struct MethodCase {
  std::string method;
  bool gated;
  Attributes attributes;
};
void PrintTo(const MethodCase& c, std::ostream* out) {
  *out << c.method;
  for (const auto& [name, value] : c.attributes) *out << " " << name << "=" << to_text(value);
}

const Ints grid{3, 4, 5};
const MethodCase method_cases[] = {
    {"vsa", true, {{"grid", grid}, {"tile", Ints{2, 2, 2}}, {"sparsity", 0.7f}}},
    {"vsa", false, {{"grid", grid}, {"tile", Ints{1, 4, 3}}, {"topk", std::int64_t{1}}}},
    {"bsa", false, {{"grid", grid}, {"tile", Ints{2, 4, 4}}, {"kv_keep", 0.4f}}},
    {"bsa",
     false,
     {{"grid", grid}, {"tile", Ints{3, 4, 2}}, {"fill", std::string("nearest_cos")}, {"kv_rule", std::string("cdf")}}},
    {"bsa",
     false,
     {{"grid", grid}, {"tile", Ints{2, 2, 5}}, {"fill", std::string("zero")}, {"kv_rule", std::string("topk")}}},
    {"by_head",
     true,
     {{"grid", grid},
      {"methods", std::vector<std::string>{"vsa tile=[2, 2, 2] topk=2", "dense", "bsa tile=[3, 2, 5]"}},
      {"head_method", Ints{0, 1, 2, 0}}}},
};

class FrozenGradient : public testing::TestWithParam<std::tuple<MethodCase, double>> {};

TEST_P(FrozenGradient, is_what_central_differences_say) {
  const auto& [c, amplitude] = GetParam();
  const SparseReference r({.q_heads = 4,
                           .kv_heads = 2,
                           .qk_dim = 6,
                           .v_dim = 5,
                           .grid = grid,
                           .tile = {2, 2, 2},
                           .amplitude = amplitude,
                           .gated = c.gated});
  auto in = operands(r, DType::f64);
  if (c.method == "vsa" && !c.gated) in.emplace_back();
  in.push_back(evaluate(op(c.method), c.attributes, pointers(in), 7)[6]);
  // Y and lse are the outputs that have a gradient.
  EXPECT_THAT(
      gradient_errors(op(c.method), c.attributes, in, {true, false, false, false, true}, {.most = 40}, full_registry()),
      IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Cases, FrozenGradient,
                         testing::Combine(testing::ValuesIn(method_cases), testing::Values(1.0, 4.0)));

TEST(SparseAttention, is_dense_where_nothing_is_left_out) {
  for (const double amplitude : {1.0, 4.0, 16.0}) {
    const SparseReference r({.batch = 2,
                             .q_heads = 4,
                             .kv_heads = 2,
                             .qk_dim = 32,
                             .v_dim = 24,
                             .grid = grid,
                             .tile = {2, 2, 2},
                             .amplitude = amplitude});
    auto in = operands(r, DType::f32);
    const auto gradients = [&](std::string_view method, const Attributes& attributes, const std::vector<Tensor>& out) {
      auto all = in;
      all.insert(all.end(), {out[0], out[4], r.tensor(r.dy, 4, 24, DType::f32)});
      if (method == "vsaGrad") all.insert(all.begin() + 7, Tensor());
      if (method != "denseGrad") all.push_back({}), all.push_back(out[6]);
      return evaluate(op(method), attributes, pointers(all), 3);
    };
    const auto dense = evaluate(op("dense"), {}, pointers(in), 7);
    const auto dense_gradients = gradients("denseGrad", {}, dense);
    const std::pair<const char*, Attributes> all[] = {
        {"vsa", {{"grid", grid}, {"tile", Ints{2, 2, 2}}, {"sparsity", 0.0f}}},
        {"bsa", {{"grid", grid}, {"tile", Ints{2, 4, 4}}, {"keep_queries", 1.0f}, {"kv_keep", 1.0f}}},
        {"bsa",
         {{"grid", grid},
          {"tile", Ints{4, 4, 4}},
          {"keep_queries", 1.0f},
          {"kv_rule", std::string("cdf")},
          {"tau", 1.0f}}}};
    for (const auto& [method, attributes] : all) {
      SCOPED_TRACE(concat(method, " at ", amplitude));
      const auto out = evaluate(op(method), attributes, pointers(in), 7);
      for (const int i : {0, 4}) EXPECT_LT(largest_error(doubles(out[i]), doubles(dense[i])), 1e-5) << i;
      for (const double density : doubles(out[5])) EXPECT_EQ(density, 1);
      const auto found = gradients(concat(method, "Grad"), attributes, out);
      // At scale 16 logits reach a thousand, and exp(s - lse) feels their rounding.
      for (std::size_t i = 0; i < 3; ++i)
        EXPECT_LT(largest_error(doubles(found[i]), doubles(dense_gradients[i])), 1e-5 * std::max(1.0, amplitude / 4))
            << i;
    }
  }
}

// Sixteen-bit operands: the choice is made in f32 from the same numbers, and the rest rounds once or twice. Beside a
// large gate Y holds little of the fine stage's own result, which dq and dk need.
TEST(SparseAttention, in_sixteen_bits_is_close_to_f32) {
  for (const double amplitude : {1.0, 4.0})
    for (const auto& [t, gate] : {std::pair{DType::f16, 1}, {DType::bf16, 1}, {DType::f16, 64}, {DType::bf16, 64}}) {
      SCOPED_TRACE(concat(t, " at ", amplitude, ", gate by ", gate));
      SparseReference r({.batch = 2,
                         .q_heads = 2,
                         .kv_heads = 2,
                         .qk_dim = 64,
                         .v_dim = 64,
                         .grid = grid,
                         .tile = {2, 2, 2},
                         .amplitude = amplitude,
                         .gated = true});
      for (double& g : r.gate) g *= gate;
      for (double& x : r.k) x += 16;  // what keys share carries an error of delta to dq
      r.k = doubles(r.tensor(r.k, 2, 64, DType::bf16));
      const Attributes attributes{{"grid", grid}, {"tile", Ints{2, 2, 2}}, {"topk", std::int64_t{4}}};
      const auto run = [&](DType type) {
        auto in = operands(r, type);
        auto out = evaluate(op("vsa"), attributes, pointers(in), 7);
        in.insert(in.end(), {out[0], out[4], r.tensor(r.dy, 2, 64, type), Tensor(), out[6]});
        for (auto& g : evaluate(op("vsaGrad"), attributes, pointers(in), 4)) out.push_back(std::move(g));
        return out;
      };
      const auto wide = run(DType::f32), narrow = run(t);
      EXPECT_TRUE(same_bits(wide[6], narrow[6]));
      const double tolerance = t == DType::f16 ? 4e-3 : 3e-2;
      for (const std::size_t i : {0, 4, 7, 8, 9, 10})
        EXPECT_LT(largest_error(doubles(narrow[i]), doubles(wide[i])), tolerance) << i;
    }
}

// A packed [B, L, 3, H, D] tensor given three times, and Y laid out as [B, L, H*D]: the same numbers as apart.
TEST(SparseAttention, reads_operands_where_they_lie) {
  const std::int64_t batch = 2, heads = 2, length = 60, dim = 8, row = 3 * heads * dim;
  const SparseReference r({.batch = batch,
                           .q_heads = heads,
                           .kv_heads = heads,
                           .qk_dim = dim,
                           .v_dim = dim,
                           .grid = grid,
                           .tile = {2, 2, 2}});
  const auto apart = operands(r, DType::f64);
  Tensor packed(DType::f64, {batch, length, row});
  const auto place = [&](std::int64_t part, std::int64_t b, std::int64_t h, std::int64_t i) {
    return static_cast<std::size_t>((b * length + i) * row + (part * heads + h) * dim);
  };
  const auto each_row = [&](auto f) {
    for (std::int64_t i = 0; i < batch * heads * length; ++i)
      f(i * dim, i / length / heads, i / length % heads, i % length);
  };
  for (std::int64_t part = 0; part < 3; ++part)
    each_row([&](std::int64_t from, auto b, auto h, auto i) {
      std::copy_n(apart[static_cast<std::size_t>(part)].read<double>().data() + from, dim,
                  packed.write<double>().data() + place(part, b, h, i));
    });
  for (const auto& [method, attributes] :
       {std::pair<std::string, Attributes>{"vsa", {{"tile", Ints{2, 2, 2}}, {"topk", std::int64_t{3}}}},
        {"bsa", {{"tile", Ints{2, 4, 4}}}},
        {"by_head", {{"methods", std::vector<std::string>{"dense", "vsa topk=1"}}, {"head_method", Ints{1, 0}}}}}) {
    SCOPED_TRACE(method);
    Attributes plain = attributes, viewed = attributes;
    plain["grid"] = viewed["grid"] = grid;
    const char* names[] = {"q_view", "k_view", "v_view"};
    for (std::int64_t part = 0; part < 3; ++part)
      viewed[names[part]] = Ints{batch, heads, length, dim, part * heads * dim, length * row, dim, row};
    viewed["y_view"] = Ints{batch, heads, length, dim, 0, length * heads * dim, dim, heads * dim};
    viewed["y_shape"] = Ints{batch, length, heads * dim};
    const std::size_t own = method == "bsa" ? 0 : 1;
    const auto run = [&, method = method](std::vector<Tensor> in, const Attributes& a, const Tensor& dy) {
      in.resize(7);
      auto out = evaluate(op(method), a, pointers(in), 7);
      in.resize(7 + own);
      in.insert(in.end(), {out[0], out[4], dy, Tensor(), out[6]});
      for (auto& g : evaluate(op(method + "Grad"), a, pointers(in), 3)) out.push_back(std::move(g));
      return out;
    };
    Tensor dy(DType::f64, {batch, length, heads * dim});
    const Tensor plain_dy = r.tensor(r.dy, heads, dim, DType::f64);
    each_row([&](std::int64_t from, auto b, auto h, auto i) {
      std::copy_n(plain_dy.read<double>().data() + from, dim,
                  dy.write<double>().data() + ((b * length + i) * heads + h) * dim);
    });
    const auto one = run(apart, plain, plain_dy), other = run({packed, packed, packed}, viewed, dy);
    for (const std::size_t i : {4, 5, 6}) EXPECT_TRUE(same_bits(one[i], other[i])) << i;
    each_row([&](std::int64_t from, auto b, auto h, auto i) {
      const auto same = [&](const Tensor& a, const Tensor& v, std::size_t at) {
        return std::memcmp(a.read<double>().data() + from, v.read<double>().data() + at, sizeof(double) * dim) == 0;
      };
      EXPECT_TRUE(same(one[0], other[0], static_cast<std::size_t>(((b * length + i) * heads + h) * dim)));
      for (std::int64_t part = 0; part < 3; ++part)
        EXPECT_TRUE(same(one[7 + static_cast<std::size_t>(part)], other[7 + static_cast<std::size_t>(part)],
                         place(part, b, h, i)));
    });
    // What the view of Q does not reach has no gradient.
    EXPECT_EQ(other[7].read<double>()[place(1, 0, 0, 0)], 0);
  }
}

// A key in a tile that a query does not attend to reaches it through the gate alone.
TEST(SparseAttention, sees_other_tiles_only_through_the_gate) {
  const SparseReference r({.qk_dim = 8, .v_dim = 8, .grid = {8, 8}, .tile = {4, 4}, .gated = true});
  const Attributes attributes{{"grid", Ints{8, 8}}, {"tile", Ints{4, 4}}, {"topk", std::int64_t{1}}};
  auto in = operands(r, DType::f64);
  const auto before = evaluate(op("vsa"), attributes, pointers(in), 7);
  const auto selection = before[6].read<std::int32_t>();  // [4 tiles][1 + 16]
  in.push_back(before[6]);
  const Tensor v = in[2], gate = in[7];
  for (const bool gated : {false, true}) {
    in[7] = gated ? gate : Tensor();
    in[2] = v;
    const auto first = evaluate(op("vsa"), attributes, pointers(in), 1)[0];
    in[2] = Tensor::of<double>(v.shape(), v.read<double>());
    for (double& x : in[2].write<double>().first(8)) x += 1;  // token 0, of tile 0
    const auto second = evaluate(op("vsa"), attributes, pointers(in), 1)[0];
    for (std::int64_t u = 0; u < 64; ++u) {
      const bool attends = selection[static_cast<std::size_t>(r.tile_of[static_cast<std::size_t>(u)] * 17)] == 0;
      const bool changed =
          std::memcmp(first.read<double>().data() + u * 8, second.read<double>().data() + u * 8, 64) != 0;
      EXPECT_EQ(changed, attends || gated) << u;
    }
  }
}

TEST(SparseAttention, takes_empty_batches_and_heads_and_single_tokens) {
  for (const Shape& shape : {Shape{0, 2, 8, 4}, Shape{2, 0, 8, 4}, Shape{1, 2, 8, 0}, Shape{1, 1, 1, 3}}) {
    const Tensor x = Tensor::zeros(DType::f32, shape);
    const std::vector<const Tensor*> in{&x, &x, &x, nullptr, nullptr, nullptr, nullptr};
    const std::vector<std::string> methods{"vsa tile=[2] topk=1", "bsa tile=[4] window=[2]"};
    const Attributes all[] = {{{"tile", Ints{2}}, {"topk", std::int64_t{1}}},
                              {{"tile", Ints{4}}, {"window", Ints{2}}},
                              {{"methods", methods}, {"head_method", Ints(static_cast<std::size_t>(shape[1]), 1)}}};
    const char* names[] = {"vsa", "bsa", "by_head"};
    for (std::size_t i = 0; i < 3; ++i) {
      SCOPED_TRACE(concat(names[i], " of ", shape));
      Attributes attributes = all[i];
      attributes["grid"] = Ints{shape[2]};
      const auto out = evaluate(op(names[i]), attributes, in, 7);
      EXPECT_EQ(out[0].shape(), shape);
      for (const double y : doubles(out[0])) EXPECT_EQ(y, 0);
      auto more = in;
      if (names[i] != std::string("bsa")) more.push_back(nullptr);
      more.insert(more.end(), {&out[0], &out[4], &x, nullptr, &out[6]});
      for (const auto& gradient : evaluate(op(concat(names[i], "Grad")), attributes, more, 3))
        EXPECT_EQ(gradient.shape(), shape);
    }
  }
}

TEST(SparseAttention, predicts_the_pairs_it_computes_where_tiles_are_whole) {
  const Tensor x = Tensor::zeros(DType::f32, {2, 3, 64, 8});
  const auto flops = [&](std::string_view name, const Attributes& attributes) {
    const TensorType type{DType::f32, x.shape()};
    return op(name).flops(ShapeContext(op(name), attributes, {type, type, type}, {}, 1));
  };
  const double dense = flops("dense", {}), means = 2 * 3 * (2 * 16 * 16 * 8 + 64 * 2 * 8);
  const Attributes vsa{{"grid", Ints{64}}, {"tile", Ints{4}}, {"sparsity", 0.75f}};
  EXPECT_EQ(flops("vsa", vsa), 0.25 * dense + means);
  const Attributes bsa{{"grid", Ints{64}}, {"tile", Ints{4}}, {"window", Ints{2}}, {"kv_keep", 0.5f}};
  EXPECT_EQ(flops("bsa", bsa), 0.25 * dense + means);
  const Ints far(4, 65536);  // tiles and windows larger than the grid: one of each
  EXPECT_EQ(
      flops("bsa", {{"grid", Ints{1, 4, 4, 4}}, {"tile", far}, {"window", far}, {"center_slot", std::int64_t{0}}}),
      0.5 * dense + 2 * 3 * (2 * 8 + 64 * 2 * 8));
  const Attributes heads{{"grid", Ints{64}},
                         {"methods", std::vector<std::string>{"dense", "vsa tile=[4] sparsity=0.75"}},
                         {"head_method", Ints{0, 0, 1}}};
  EXPECT_NEAR(flops("by_head", heads), dense * 2 / 3 + (0.25 * dense + means) / 3, 1);
}

TEST(SparseAttention, in_a_graph_file_runs_in_a_session) {
  const ScratchFolder folder;
  const std::string ports =
      R"(input { name: "q" type { tensor_type { elem_type: 1 shape { dim { dim_value: 1 } dim { dim_value: 2 } dim { dim_value: 60 } dim { dim_value: 8 } } } } }
         output { name: "y" type { tensor_type { elem_type: 1 } } }
         output { name: "density" type { tensor_type { elem_type: 1 } } })";
  const auto node = [](const std::string& method, const std::string& attributes) {
    return R"(node { name: "site" op_type: ")" + method +
           R"(" domain: "tessera.attention" input: "q" input: "q" input: "q" output: "y" output: "" output: "" output: "" output: "" output: "density"
         attribute { name: "grid" type: INTS ints: 3 ints: 4 ints: 5 } )" +
           attributes + "}";
  };
  const std::string models[] = {
      node(
          "vsa",
          R"(attribute { name: "tile" type: INTS ints: 2 ints: 2 ints: 2 } attribute { name: "sparsity" type: FLOAT f: 0.75 })"),
      node("bsa",
           R"(attribute { name: "kv_rule" type: STRING s: "topk" } attribute { name: "kv_keep" type: FLOAT f: 0.5 })"),
      node("by_head", R"(attribute { name: "methods" type: STRINGS strings: "dense" strings: "vsa topk=1" }
                         attribute { name: "head_method" type: INTS ints: 0 ints: 1 })")};
  const SparseReference r({.q_heads = 2, .kv_heads = 2, .qk_dim = 8, .v_dim = 8, .grid = grid, .tile = {2, 2, 2}});
  const Tensor q = r.tensor(r.q, 2, 8, DType::f32);
  const double least[] = {0.2, 0.2, 0.2};
  for (std::size_t i = 0; i < std::size(models); ++i) {
    const auto path = folder.write("model.textproto", concat(R"(ir_version: 10 opset_import { domain: "" version: 20 }
           opset_import { domain: "tessera.attention" version: 1 } graph { name: "g" )",
                                                             ports, models[i], "}"));
    Session session = Session::open(path, {.plugins = {"vsa", "bsa"}});
    const auto out = session.run({{"q", q}});
    const Node& node = session.graph().nodes.at(0);
    const auto direct = evaluate(*node.op, node.attributes, std::vector<const Tensor*>{&q, &q, &q}, 6);
    EXPECT_TRUE(same_bits(out.at("y"), direct[0]));
    EXPECT_TRUE(same_bits(out.at("density"), direct[5]));
    for (const double d : doubles(out.at("density"))) EXPECT_TRUE(d > least[i] / 2 && d <= 1) << d;
  }
}

}  // namespace
}  // namespace tessera
