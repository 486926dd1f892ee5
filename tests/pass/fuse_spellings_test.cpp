// How frameworks write norms and activations, as formulas: each becomes one operator that computes the same. In f64 the
// results differ by the rounding of the constants only.
#include <gmock/gmock.h>

#include <functional>

#include "tests/support/formula.h"
#include "tests/support/rewritten.h"

namespace tessera {
namespace {

using testing::ElementsAre;
using F = Formula;

F mean(F v) { return call("ReduceMean", {v, ints({-1}, v)}); }
F sum(F v) { return call("ReduceSum", {v, ints({-1}, v)}); }
F sum_of_squares(F v) { return call("ReduceSumSquare", {v, ints({-1}, v)}); }
F length(F v) { return call("ReduceL2", {v, ints({-1}, v)}); }
F root(F v) { return call("Sqrt", v); }
F inverse(F v) { return call("Reciprocal", v); }
F power(F v, double e) { return call("Pow", {v, number(e, v)}); }

struct Spelling {
  const char* source;
  std::function<F(F x, F w, F b)> write;
};

constexpr double e = 1e-5;
constexpr std::int64_t features = 6;

const Spelling layer_norms[] = {{"torch",
                                 [](F x, F w, F b) {
                                   F d = x - mean(x);
                                   return d / root(mean(power(d, 2)) + e) * w + b;
                                 }},
                                {"TensorFlow",
                                 [](F x, F w, F b) {
                                   F m = mean(x), d = x - m, s = inverse(root(mean(d * d) + e)) * w;
                                   return x * s + (b - m * s);
                                 }},
                                {"TensorFlow, the other way round",
                                 [](F x, F w, F b) {
                                   F m = mean(x), d = x - m, s = w * inverse(root(mean(d * d) + e));
                                   return (b - s * m) + s * x;
                                 }},
                                {"TensorFlow without a scale",
                                 [](F x, F, F b) {
                                   F m = mean(x), d = x - m, s = inverse(root(mean(d * d) + e));
                                   return x * s + (b - m * s);
                                 }},
                                {"Keras",
                                 [](F x, F w, F b) {
                                   F d = x - mean(x);
                                   return d * (inverse(root(mean(d * d) + e)) * w) + b;
                                 }},
                                {"Keras 3",
                                 [](F x, F w, F b) {
                                   F m = mean(x), d = x - m;
                                   return d * (w / root(mean(d * d) + e)) + b;
                                 }},
                                {"Flax",
                                 [](F x, F w, F b) {
                                   F m = mean(x);
                                   return (x - m) * (inverse(root(mean(x * x) - m * m + e)) * w) + b;
                                 }},
                                {"Flax, kept from falling below 0",
                                 [](F x, F w, F b) {
                                   F m = mean(x), v = call("Max", {number(0, x), mean(x * x) - power(m, 2)});
                                   return (x - m) * (inverse(root(v + e)) * w) + b;
                                 }},
                                {"Flax, by Relu",
                                 [](F x, F w, F b) {
                                   F m = mean(x), v = call("Relu", mean(x * x) - m * m);
                                   return (x - m) * w / root(v + e) + b;
                                 }},
                                {"GPT-2",
                                 [](F x, F w, F b) {
                                   F d = x - mean(x);
                                   return w * d / root(mean(d * d) + e) + b;
                                 }},
                                {"sums", [](F x, F w, F b) {
                                   F d = x - sum(x) / features;
                                   return d / root(sum(d * d) * (1.0 / features) + e) * w + b;
                                 }}};

const Spelling rms_norms[] = {
    {"LLaMA", [](F x, F w, F) { return w * (x * (1 / root(mean(power(x, 2)) + e))); }},
    {"weight in the root's factor", [](F x, F w, F) { return x * (w * inverse(root(mean(x * x) + e))); }},
    {"weight over the root", [](F x, F w, F) { return x * (w / root(mean(x * x) + e)); }},
    {"weight first", [](F x, F w, F) { return w * x / root(mean(x * x) + e); }},
    {"Gemma", [](F x, F w, F) { return x * power(mean(x * x) + e, -0.5) * (1 + w); }},
    {"sum of squares", [](F x, F w, F) { return x / root(sum_of_squares(x) / features + e) * w; }},
    {"sum of squares, divided later",
     [](F x, F w, F) { return x / (root(sum_of_squares(x) + e) / 2.449489742783178) * w; }},
    {"no epsilon", [](F x, F w, F) { return x / root(mean(x * x)) * w; }},
    {"no weight", [](F x, F, F) { return x * inverse(root(mean(x * x) + e)); }},
    {"length", [](F x, F w, F) { return x / length(x) * w; }},
    {"length, scaled", [](F x, F w, F) { return x / (length(x) / root(number(features, x))) * w; }}};

void expect_one_norm(const PassDef& pass, const Spelling& spelling, const char* op) {
  for (const DType t : {DType::f32, DType::f64}) {
    SCOPED_TRACE(concat(spelling.source, ", ", t));
    SmallGraph s;
    const F x{&s, s.input("x", {2, 3, features}, t)};
    const F w{&s, s.input("w", {features}, t)}, b{&s, s.input("b", {features}, t)};
    s.output("y", spelling.write(x, w, b).id);
    fold_constants(s.g, builtin_registry());
    const bool f64 = t == DType::f64;  // epsilon is an f32 in both
    expect_same_after(pass, s.g, f64 ? 1e-9 : 2e-5);
    EXPECT_THAT(ops(s.g), testing::Contains(op).Times(1));
    EXPECT_THAT(ops(s.g), testing::Not(testing::Contains(testing::AnyOf("Sqrt", "Sub", "Div", "ReduceMean"))));
  }
}

TEST(FuseSpellings, layer_norms) {
  for (const auto& spelling : layer_norms)
    expect_one_norm(fuse_layer_normalization_pass, spelling, "LayerNormalization");
}

TEST(FuseSpellings, rms_norms) {
  for (const auto& spelling : rms_norms) expect_one_norm(fuse_rms_normalization_pass, spelling, "RMSNormalization");
}

const Spelling gelus[] = {
    {"torch", [](F x, F, F) { return x * (call("Erf", x / 1.4142135623730951) + 1) * 0.5; }},
    {"halved at the end", [](F x, F, F) { return x * (call("Erf", x / 1.4142135623730951) + 1) / 2; }},
    {"multiplied out",
     [](F x, F, F) {
       F h = x * 0.5;
       return h + h * call("Erf", x * 0.7071067811865476);
     }},
    {"one minus", [](F x, F, F) { return x * 0.5 * (1 - call("Erf", -x * 0.7071067811865476)); }}};
const Spelling tanh_gelus[] = {
    {"T5", [](F x, F, F) { return 0.5 * x * (1 + call("Tanh", 0.7978845608028654 * (x + 0.044715 * power(x, 3)))); }},
    {"distributed",
     [](F x, F, F) {
       return 0.5 * x * (1 + call("Tanh", x * 0.7978845608028654 + power(x, 3) * (0.7978845608028654 * 0.044715)));
     }},
    {"by Sigmoid", [](F x, F, F) { return x * call("Sigmoid", 1.5957691216057308 * (x + 0.044715 * (x * x * x))); }}};
const Spelling silus[] = {{"torch", [](F x, F, F) { return x * call("Sigmoid", x); }},
                          {"quick GELU", [](F x, F, F) { return call("Sigmoid", x * 1.702) * x; }},
                          {"divided", [](F x, F, F) { return x * call("Sigmoid", x / 0.5); }},
                          {"of a negation", [](F x, F, F) { return x * call("Sigmoid", -x); }}};

void expect_one_activation(const PassDef& pass, const Spelling& spelling, const char* op) {
  for (const DType t : {DType::f32, DType::f64}) {
    SCOPED_TRACE(concat(spelling.source, ", ", t));
    SmallGraph s;
    const F x{&s, s.input("x", {40, 5}, t)};
    s.output("y", spelling.write(x, x, x).id);
    expect_same_after(pass, s.g, t == DType::f64 ? 1e-7 : 1e-5);  // Swish has an f32 factor
    EXPECT_THAT(ops(s.g), ElementsAre(op));
  }
}

TEST(FuseSpellings, activations) {
  for (const auto& spelling : gelus) expect_one_activation(fuse_gelu_pass, spelling, "Gelu");
  for (const auto& spelling : tanh_gelus) expect_one_activation(fuse_gelu_pass, spelling, "Gelu");
  for (const auto& spelling : silus) expect_one_activation(fuse_silu_pass, spelling, "Swish");
}

// What looks like one of them and is not.
TEST(FuseSpellings, leave_other_formulas) {
  const std::pair<const PassDef*, std::function<F(F x)>> others[] = {
      {&fuse_rms_normalization_pass, [](F x) { return x / (root(mean(x * x)) + e); }},
      {&fuse_rms_normalization_pass,
       [](F x) {
         return x / root(call("Max", {mean(x * x), number(e, x)}));
       }},
      {&fuse_rms_normalization_pass, [](F x) { return x / root(mean(x * power(x, 2)) + e); }},
      {&fuse_rms_normalization_pass, [](F x) { return x * root(mean(x * x) + e); }},
      {&fuse_layer_normalization_pass,
       [](F x) {
         F d = x - mean(x);
         return d / (root(mean(d * d)) + e);
       }},
      {&fuse_layer_normalization_pass,
       [](F x) {
         F d = x - mean(x) * 2;
         return d / root(mean(d * d) + e);
       }},
      {&fuse_layer_normalization_pass,
       [](F x) {
         F m = mean(x);
         return (x - m) / root(mean(x * x) + e);
       }},
      {&fuse_layer_normalization_pass,
       [](F x) {
         F m = mean(x);
         return (x - m) / root(mean(x * x) + m * m + e);
       }},
      {&fuse_gelu_pass, [](F x) { return x * (call("Erf", x / 1.4142135623730951) + 1) * 0.25; }},
      {&fuse_gelu_pass, [](F x) { return x * (call("Erf", x * x * 0.7071067811865476) + 1) * 0.5; }},
      {&fuse_gelu_pass, [](F x) { return x * (call("Erf", x / 1.4142135623730951) + call("Abs", x)) * 0.5; }},
      {&fuse_silu_pass, [](F x) { return x * 2 * call("Sigmoid", x); }},
      {&fuse_silu_pass, [](F x) { return x * call("Sigmoid", x + 1); }},
      {&fuse_silu_pass, [](F x) { return x * call("Sigmoid", call("Abs", x)); }}};
  int i = 0;
  for (const auto& [pass, write] : others) {
    SCOPED_TRACE(i++);
    SmallGraph s;
    s.output("y", write({&s, s.input("x", {3, features})}).id);
    EXPECT_FALSE(pass->run(s.g, builtin_registry()));
    EXPECT_EQ(pass->near_misses(s.g).size(), 1u);
  }
}

}  // namespace
}  // namespace tessera
