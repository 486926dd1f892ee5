// Every spelling of norms and activations that exporters use becomes one operator, and computes the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/support/rewritten.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// d / sqrt(mean(d^2) + epsilon), spelled in one of six ways.
ValueId normal(Chain& c, ValueId d, int spelling, std::vector<std::int64_t> axes = {-1}) {
  const ValueId square = spelling % 2 ? c.node("Mul", {d, d}) : c.node("Pow", {d, c.number(2)});
  const ValueId mean = c.mean(square, axes), epsilon = c.number(1e-5);
  const ValueId sum = spelling % 2 ? c.node("Add", {mean, epsilon}) : c.node("Add", {epsilon, mean});
  switch (spelling) {
    case 0:
      return c.node("Div", {d, c.node("Sqrt", {sum})});
    case 1:
      return c.node("Mul", {d, c.node("Reciprocal", {c.node("Sqrt", {sum})})});
    case 2:
      return c.node("Mul", {c.node("Div", {c.number(1), c.node("Sqrt", {sum})}), d});
    case 3:
      return c.node("Div", {d, c.node("Pow", {sum, c.number(0.5)})});
    case 4:
      return c.node("Mul", {d, c.node("Pow", {sum, c.number(-0.5)})});
    default:
      return c.node("Mul", {c.node("Pow", {sum, c.number(-0.5)}), d});
  }
}

TEST(FuseNormalization, reads_every_spelling) {
  for (int spelling = 0; spelling < 6; ++spelling)
    for (const bool layer : {false, true})
      for (const bool affine : {false, true}) {
        SCOPED_TRACE(concat("spelling ", spelling, layer ? ", layer" : ", rms", affine ? ", affine" : ""));
        Chain c;
        const auto x = c.e.input("x", {2, 3, 8});
        const auto d = layer ? c.node("Sub", {x, c.mean(x)}) : x;
        auto y = normal(c, d, spelling);
        if (affine) y = c.node("Mul", {c.e.constant("{1, 2, 3, 4, 5, 6, 7, 8}"), y});
        if (affine && layer) y = c.node("Add", {y, c.e.constant("{8, 7, 6, 5, 4, 3, 2, 1}")});
        c.e.output("y", y);
        expect_same_after(layer ? fuse_layer_normalization_pass : fuse_rms_normalization_pass, c.e.g);
        EXPECT_THAT(ops(c.e.g), ElementsAre(layer ? "LayerNormalization" : "RMSNormalization"));
      }
}

TEST(FuseNormalization, takes_several_last_axes_and_no_others) {
  for (const bool last : {true, false}) {
    Chain c;
    const auto x = c.e.input("x", {2, 3, 8});
    c.e.output("y", normal(c, x, 0, last ? std::vector<std::int64_t>{1, -1} : std::vector<std::int64_t>{0, 2}));
    if (last) {
      expect_same_after(fuse_rms_normalization_pass, c.e.g);
      EXPECT_THAT(ops(c.e.g), ElementsAre("RMSNormalization"));
      continue;
    }
    EXPECT_FALSE(fuse_rms_normalization_pass.run(c.e.g, builtin_registry()));
    const auto misses = fuse_rms_normalization_pass.near_misses(c.e.g);
    ASSERT_EQ(misses.size(), 1u);
    EXPECT_EQ(misses[0].node, c.e.g.nodes.back().name);
    EXPECT_THAT(misses[0].reason, HasSubstr("last axes"));
  }
}

TEST(FuseNormalization, keeps_statistics_in_the_wider_type_between_casts) {
  // As LLaMA and T5 are exported in f16: widened, normalised, narrowed, times the weight.
  Chain c;
  const auto x = c.e.input("x", {4, 8}, DType::f16);
  const auto w = c.e.build.constant(made_up(DType::f16, {8}, 5));
  const auto narrow = c.cast(normal(c, c.cast(x, DType::f32), 2), DType::f16);
  c.e.output("y", c.node("Mul", {w, narrow}));
  expect_same_after(fuse_rms_normalization_pass, c.e.g, 2e-3);
  EXPECT_THAT(ops(c.e.g), ElementsAre("RMSNormalization"));
}

TEST(FuseNormalization, leaves_a_widened_layer_norm_its_cast) {
  // The result stays f32, which LayerNormalization of an f16 cannot give.
  Chain c;
  const auto x = c.cast(c.e.input("x", {4, 8}, DType::f16), DType::f32);
  c.e.output("y", normal(c, c.node("Sub", {x, c.mean(x)}), 0));
  expect_same_after(fuse_layer_normalization_pass, c.e.g);
  EXPECT_THAT(ops(c.e.g), ElementsAre("Cast", "LayerNormalization"));
}

TEST(FuseNormalization, leaves_what_others_read) {
  Chain c;
  const auto x = c.e.input("x", {4, 8});
  const auto y = normal(c, x, 0);
  c.e.output("y", y);
  c.e.output("root", c.e.g.nodes.back().in[1]);
  EXPECT_FALSE(fuse_rms_normalization_pass.run(c.e.g, builtin_registry()));
  EXPECT_THAT(fuse_rms_normalization_pass.near_misses(c.e.g)[0].reason, HasSubstr("also read by others"));
}

TEST(FuseModulation, gives_the_norm_its_scale_and_shift) {
  for (const std::string weights : {"none", "neutral", "some"}) {
    SCOPED_TRACE(weights);
    Chain c;
    const auto x = c.e.input("x", {2, 300, 8}), scale = c.e.input("scale", {2, 1, 8});
    const auto shift = c.e.input("shift", {2, 1, 8});
    std::vector<ValueId> in{x};
    if (weights == "neutral") in.insert(in.end(), {c.e.constant("{1, 1, 1, 1, 1, 1, 1, 1}"), c.e.constant("0")});
    if (weights == "some") in.insert(in.end(), {c.e.constant("{1, 2, 1, 2, 1, 2, 1, 2}"), c.e.constant("{3}")});
    const auto y = c.node("Mul", {c.node("LayerNormalization", in), c.node("Add", {c.number(1), scale})});
    c.e.output("y", c.node("Add", {y, shift}));
    expect_same_after(fuse_modulation_pass, c.e.g);
    if (weights == "some")
      EXPECT_THAT(ops(c.e.g), ElementsAre("Add", "Mul", "Mul", "Add", "LayerNormalization"));
    else
      EXPECT_THAT(ops(c.e.g), ElementsAre("Add", "LayerNormalization"));
  }
}

TEST(FuseModulation, makes_a_norm_for_each_of_several_modulations) {
  // Dual attention of SD 3.5: one norm, modulated for each attention.
  for (const std::string op : {"LayerNormalization", "RMSNormalization"}) {
    Chain c;
    std::vector<ValueId> in{c.e.input("x", {2, 30, 8}), c.e.constant("{1, 2, 3, 4, 5, 6, 7, 8}")};
    const auto norm = c.node(op, in);
    for (const std::string name : {"a", "b"}) {
      auto y = c.node("Mul", {c.e.input("scale_" + name, {2, 1, 8}), norm});
      if (op == "LayerNormalization") y = c.node("Add", {y, c.e.input("shift_" + name, {2, 1, 8})});
      c.e.output(name, y);
    }
    expect_same_after(fuse_modulation_pass, c.e.g);
    EXPECT_THAT(fuse_modulation_pass.near_misses(c.e.g), testing::IsEmpty());
    remove_dead_pass.run(c.e.g, builtin_registry());
    EXPECT_THAT(ops(c.e.g), testing::UnorderedElementsAre("Mul", op, "Mul", op));
  }
}

TEST(FuseModulation, leaves_what_it_would_not_make_faster_and_says_so) {
  const auto reason = [](const std::function<void(Chain&, ValueId norm)>& read) {
    Chain c;
    const auto x = c.e.input("x", {4, 8});
    const auto norm = c.e.named("norm", "LayerNormalization", {x, c.e.constant("1")});
    read(c, norm);
    EXPECT_FALSE(fuse_modulation_pass.run(c.e.g, builtin_registry()));
    const auto misses = fuse_modulation_pass.near_misses(c.e.g);
    EXPECT_EQ(misses.size(), 1u);
    EXPECT_EQ(misses[0].node, "modulated");
    return misses[0].reason;
  };
  const auto modulate = [](Chain& c, ValueId norm, const Shape& shape) {
    c.e.output("y", c.e.named("modulated", "Mul", {norm, c.e.input("gate", shape)}));
  };
  EXPECT_EQ(reason([&](Chain& c, ValueId norm) {
              modulate(c, norm, {4, 8});
            }),
            "'gate' has 32 elements, too many beside the 32 of 'norm'");
  EXPECT_EQ(reason([&](Chain& c, ValueId norm) {
              modulate(c, norm, {8});
              c.e.output("z", c.e.named("other", "Tanh", {norm}));
            }),
            "'norm' is also read by 'other', which needs it as it is");
  EXPECT_EQ(reason([&](Chain& c, ValueId norm) {
              modulate(c, norm, {8});
              c.e.output("norm", norm);
            }),
            "'norm' is also an output");
}

TEST(FuseGelu, reads_factors_in_any_order) {
  for (int spelling = 0; spelling < 8; ++spelling)
    for (const bool product : {false, true}) {
      SCOPED_TRACE(concat("spelling ", spelling, product ? ", of a product" : ""));
      Chain c;
      const auto in = c.e.input("x", {3, 5});
      const auto x = product ? c.node("Mul", {in, in}) : in;
      const auto mul = [&](ValueId a, ValueId b) { return c.node("Mul", {a, b}); };
      const auto half = c.number(0.5), one = c.number(1);
      ValueId f;
      if (spelling < 4) {
        const auto u = spelling % 2 ? mul(x, c.number(0.70710678)) : c.node("Div", {x, c.number(1.41421356)});
        f = c.node("Erf", {u});
      } else {
        const auto bend = [&] {
          if (spelling == 7) return mul(x, c.node("Add", {one, mul(mul(c.number(0.044715), x), x)}));
          const auto cube = spelling % 2 ? mul(x, mul(x, x)) : c.node("Pow", {x, c.number(3)});
          return c.node("Add", {x, mul(c.number(0.044715), cube)});
        };
        f = c.node("Tanh", {mul(c.number(0.7978845608), bend())});
      }
      const auto sum = spelling % 2 ? c.node("Add", {f, one}) : c.node("Add", {one, f});
      switch (spelling % 4) {
        case 0:
          c.e.output("y", mul(mul(x, sum), half));
          break;
        case 1:
          c.e.output("y", mul(half, mul(x, sum)));
          break;
        case 2:
          c.e.output("y", mul(mul(half, x), sum));
          break;
        default:
          c.e.output("y", mul(x, mul(half, sum)));
      }
      expect_same_after(fuse_gelu_pass, c.e.g);
      EXPECT_EQ(c.e.g.nodes.size(), product ? 2u : 1u);
      EXPECT_EQ(c.e.g.nodes.back().op->name, "Gelu");
      EXPECT_EQ(std::get<std::string>(c.e.g.nodes.back().attributes.at("approximate")), spelling < 4 ? "none" : "tanh");
    }
}

TEST(FuseGelu, wants_the_right_constants) {
  Chain c;
  const auto x = c.e.input("x", {3, 5});
  const auto erf = c.node("Erf", {c.node("Mul", {x, c.number(0.7)})});
  c.e.output("y", c.node("Mul", {c.number(0.5), c.node("Mul", {x, c.node("Add", {erf, c.number(1)})})}));
  EXPECT_FALSE(fuse_gelu_pass.run(c.e.g, builtin_registry()));
}

TEST(FuseGelu, is_not_lost_in_a_tower_of_squares) {
  Chain c;
  auto x = c.e.input("x", {2});
  for (int i = 0; i < 200; ++i) x = c.node("Mul", {x, x});
  c.e.output("y", x);
  EXPECT_FALSE(fuse_gelu_pass.run(c.e.g, builtin_registry()));
}

TEST(FuseSilu, with_and_without_a_factor) {
  for (const double alpha : {1.0, 1.702}) {
    Chain c;
    const auto x = c.e.input("x", {3, 5});
    const auto inner = alpha == 1 ? x : c.node("Mul", {c.number(alpha), x});
    c.e.output("y", c.node("Mul", {c.node("Sigmoid", {inner}), x}));
    expect_same_after(fuse_silu_pass, c.e.g);
    EXPECT_THAT(ops(c.e.g), ElementsAre("Swish"));
  }
}

TEST(FuseSilu, says_who_reads_the_sigmoid) {
  Chain c;
  const auto x = c.e.input("x", {3, 5}), s = c.node("Sigmoid", {x});
  c.e.output("s", s);
  c.e.output("y", c.node("Mul", {x, s}));
  EXPECT_FALSE(fuse_silu_pass.run(c.e.g, builtin_registry()));
  const auto misses = fuse_silu_pass.near_misses(c.e.g);
  ASSERT_EQ(misses.size(), 1u);
  EXPECT_THAT(misses[0].reason, HasSubstr(c.e.g.at(s).name));
}

TEST(FuseBias, becomes_the_addend_of_a_gemm) {
  for (const Shape& row : {Shape{7}, Shape{1, 7}, Shape{1, 1, 7}})
    for (const bool first : {false, true}) {
      Chain c;
      const auto x = c.e.input("x", {2, 3, 5}), w = c.e.input("w", {5, 7}), b = c.e.input("b", row);
      const auto product = c.node("MatMul", {x, w});
      c.e.output("y", c.node("Add", {first ? b : product, first ? product : b}));
      expect_same_after(fuse_bias_pass, c.e.g);
      EXPECT_EQ(ops(c.e.g).back(), "Reshape");
      EXPECT_THAT(ops(c.e.g), testing::Contains("Gemm").Times(1));
      EXPECT_THAT(ops(c.e.g), testing::Not(testing::Contains(testing::AnyOf("Add", "MatMul"))));
    }
}

TEST(FuseBias, joins_a_gemm_that_has_none) {
  Chain c;
  const auto x = c.e.input("x", {5, 3}), w = c.e.input("w", {7, 5}), b = c.e.input("b", {7});
  const auto y = c.node("Gemm", {x, w}, {{"transA", std::int64_t{1}}, {"transB", std::int64_t{1}}, {"alpha", 0.5f}});
  c.e.output("y", c.node("Add", {y, b}));
  expect_same_after(fuse_bias_pass, c.e.g);
  EXPECT_THAT(ops(c.e.g), ElementsAre("Gemm"));
}

TEST(FuseBias, joins_a_product_of_bf16_that_keeps_its_sums) {
  Chain c;
  const auto x = c.e.input("x", {2, 3, 5}, DType::bf16), w = c.e.input("w", {5, 7}, DType::bf16);
  const auto b = c.e.input("b", {7});
  c.e.output("y", c.node("Add", {c.node("tessera::WideMatMul", {x, w}), b}));
  expect_same_after(fuse_bias_pass, c.e.g);
  EXPECT_THAT(ops(c.e.g), ElementsAre("WideMatMul"));
}

TEST(FuseBias, sees_the_product_through_reshapes_that_keep_its_rows) {
  // Linear layers exported on a matrix of all tokens, the bias added after they are separated.
  for (const bool gemm : {false, true}) {
    Chain c;
    const auto x = c.e.input("x", {2, 3, 5}), w = c.e.input("w", {5, 8}), b = c.e.input("b", {8});
    const auto flat = c.node("Reshape", {x, c.e.build.ints({6, 5})});
    const auto product = c.node(gemm ? "Gemm" : "MatMul", {flat, w});
    c.e.output("y", c.node("Add", {b, c.node("Reshape", {product, c.e.build.ints({2, 3, 8})})}));
    expect_same_after(fuse_bias_pass, c.e.g);
    EXPECT_THAT(ops(c.e.g), ElementsAre("Reshape", "Gemm", "Reshape"));
  }
  Chain c;  // a row of the result is no longer one of the product
  const auto x = c.e.input("x", {6, 5}), w = c.e.input("w", {5, 8}), b = c.e.input("b", {4});
  const auto heads = c.node("Reshape", {c.node("MatMul", {x, w}), c.e.build.ints({6, 2, 4})});
  c.e.output("y", c.node("Add", {b, heads}));
  EXPECT_FALSE(fuse_bias_pass.run(c.e.g, builtin_registry()));
}

TEST(FuseBias, leaves_what_is_no_bias) {
  // A column, a whole matrix, a product per batch, and f64, whose product would add it in a sweep anyway.
  const auto refused = [](const Shape& a, const Shape& b, const Shape& added, DType t = DType::f32) {
    Chain c;
    const auto x = c.e.input("x", a, t), w = c.e.input("w", b, t), v = c.e.input("v", added, t);
    c.e.output("y", c.node("Add", {c.node("MatMul", {x, w}), v}));
    return !fuse_bias_pass.run(c.e.g, builtin_registry());
  };
  EXPECT_TRUE(refused({3, 5}, {5, 7}, {3, 1}));
  EXPECT_TRUE(refused({3, 5}, {5, 7}, {3, 7}));
  EXPECT_TRUE(refused({3, 5}, {5, 7}, {2, 1, 7}));
  EXPECT_TRUE(refused({2, 3, 5}, {2, 5, 7}, {7}));
  EXPECT_TRUE(refused({3, 5}, {5, 7}, {7}, DType::f64));
  EXPECT_FALSE(refused({3, 5}, {5, 7}, {7}));
}

TEST(FuseBias, says_who_reads_the_product) {
  Chain c;
  const auto y = c.node("MatMul", {c.e.input("x", {3, 5}), c.e.input("w", {5, 7})});
  c.e.output("s", y);
  c.e.output("y", c.node("Add", {y, c.e.input("b", {7})}));
  EXPECT_FALSE(fuse_bias_pass.run(c.e.g, builtin_registry()));
  const auto misses = fuse_bias_pass.near_misses(c.e.g);
  ASSERT_EQ(misses.size(), 1u);
  EXPECT_THAT(misses[0].reason, HasSubstr(c.e.g.at(y).name));
}

}  // namespace
}  // namespace tessera
