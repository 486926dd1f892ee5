// The losses of the ONNX standard, which a model's import writes as other operators.
#include <gmock/gmock.h>

#include <cmath>

#include "runtime/pass/bind_shapes.h"
#include "runtime/pass/passes.h"
#include "runtime/tensor/text.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/model_text.h"

namespace tessera {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const std::string likelihood = "NegativeLogLikelihoodLoss", entropy = "SoftmaxCrossEntropyLoss";

enum class Dims { known, named };

// One node of a loss, its inputs those of the graph: x, t and, where it is there, w.
struct Loss {
  std::string op, reduction = "mean";
  std::optional<std::int64_t> ignore_index{};
  int outputs = 1, opset = 17;

  std::string text(const std::vector<Tensor>& in, Dims dims = Dims::known) const {
    std::string node = concat("node { op_type: \"", op, "\" name: \"loss\" attribute { name: \"reduction\" s: \"",
                              reduction, "\" type: STRING } "),
                ports;
    if (ignore_index) node += concat("attribute { name: \"ignore_index\" i: ", *ignore_index, " type: INT } ");
    for (std::size_t i = 0; i < in.size(); ++i) {
      const char name = "xtw"[i];
      node += concat("input: \"", name, "\" ");
      ports += input_text(
          {name}, in[i], [&](int axis) { return dims == Dims::named ? concat(name, in[i].dim(axis)) : std::string(); });
    }
    for (int i = 0; i < outputs; ++i) {
      node += concat("output: \"y", i, "\" ");
      ports += concat("output { name: \"y", i, "\" } ");
    }
    return node + "} " + ports;
  }
  Graph graph(const std::vector<Tensor>& in, Dims dims = Dims::known) const {
    return load_text(text(in, dims), {}, opset);
  }
  std::vector<Tensor> of(const std::vector<Tensor>& in, Dims dims = Dims::known) const {
    return interpret(graph(in, dims), in);
  }
};

Tensor parsed(std::string_view text) { return tensor_from_text(text); }
std::string shown(const Loss& loss, const std::vector<Tensor>& in) { return to_text(loss.of(in)[0]); }

const Tensor log_p = parsed("{{-1, -2, -3}, {-4, -5, -6}, {-7, -8, -9}, {-0.5, -1.5, -2.5}}");
const Tensor weight = parsed("{1, 2, 4}");

TEST(NegativeLogLikelihoodLoss, picks_the_class_of_each_target) {
  const Tensor t = parsed("i64{2, 0, 1, 1}");
  EXPECT_EQ(shown({likelihood, "none"}, {log_p, t}), "f32{3, 4, 8, 1.5}");
  EXPECT_EQ(shown({likelihood, "sum"}, {log_p, t}), "f32 16.5");
  EXPECT_EQ(shown({likelihood}, {log_p, t}), "f32 4.125");
}

TEST(NegativeLogLikelihoodLoss, weighs_targets_and_divides_by_what_they_weigh) {
  const Tensor t = parsed("i64{2, 0, 1, 1}");
  EXPECT_EQ(shown({likelihood, "none"}, {log_p, t, weight}), "f32{12, 4, 16, 3}");
  EXPECT_EQ(shown({likelihood, "sum"}, {log_p, t, weight}), "f32 35");
  EXPECT_TRUE(close(Loss{likelihood}.of({log_p, t, weight})[0], parsed("3.8888889")));  // 35 / (4 + 1 + 2 + 2)
}

TEST(NegativeLogLikelihoodLoss, does_not_count_what_is_ignored) {
  for (const std::int64_t ignored : {-1, 1, 77}) {
    const Tensor t = parsed(concat("i64{2, 0, ", ignored, ", 2}"));
    EXPECT_EQ(shown({likelihood, "none", ignored}, {log_p, t}), "f32{3, 4, 0, 2.5}");
    EXPECT_EQ(shown({likelihood, "sum", ignored}, {log_p, t}), "f32 9.5");
    EXPECT_TRUE(close(Loss{likelihood, "mean", ignored}.of({log_p, t})[0], parsed("3.1666667")));
    EXPECT_EQ(shown({likelihood, "none", ignored}, {log_p, t, weight}), "f32{12, 4, 0, 10}");
    EXPECT_TRUE(close(Loss{likelihood, "mean", ignored}.of({log_p, t, weight})[0], parsed("2.8888889")));  // 26 / 9
  }
}

TEST(NegativeLogLikelihoodLoss, of_ignored_targets_alone_is_zero_and_has_no_mean) {
  const Tensor t = parsed("i64{5, 5, 5, 5}");
  EXPECT_EQ(shown({likelihood, "sum", 5}, {log_p, t}), "f32 0");
  EXPECT_TRUE(std::isnan(Loss{likelihood, "mean", 5}.of({log_p, t})[0].read<float>()[0]));
}

// An impossible class (-inf) that nobody asks for must not make 0 * inf of what is ignored.
TEST(NegativeLogLikelihoodLoss, never_reads_scores_of_ignored_targets) {
  const std::vector<Tensor> in{parsed("{{-inf, -1}, {-2, -3}}"), parsed("i64{-100, 1}"), parsed("{inf, 2}")};
  EXPECT_EQ(shown({likelihood, "mean", -100}, in), "f32 3");
}

TEST(NegativeLogLikelihoodLoss, of_images_has_a_target_per_pixel) {
  const Tensor x = parsed("{{{{-1, -2}, {-3, -4}}, {{-5, -6}, {-7, -8}}}}"), w = parsed("{1, 10}");
  EXPECT_EQ(shown({likelihood, "none"}, {x, parsed("i32{{{0, 1}, {1, 0}}}")}), "f32{{{1, 6}, {7, 4}}}");
  const Tensor t = parsed("i32{{{0, 9}, {1, 0}}}");
  EXPECT_EQ(shown({likelihood, "none", 9}, {x, t, w}), "f32{{{1, 0}, {70, 4}}}");
  EXPECT_EQ(shown({likelihood, "mean", 9}, {x, t, w}), "f32 6.25");  // 75 / 12
}

TEST(NegativeLogLikelihoodLoss, of_nothing_sums_to_zero) {
  EXPECT_EQ(shown({likelihood, "none"}, {parsed("f32[0x3]{}"), parsed("i64[0]{}")}), "f32[0]{}");
  EXPECT_EQ(shown({likelihood, "sum"}, {parsed("f32[0x3]{}"), parsed("i64[0]{}")}), "f32 0");
}

// The sums leave the range of f16, their quotient does not.
TEST(NegativeLogLikelihoodLoss, of_sixteen_bits_takes_the_mean_in_f32) {
  for (const auto* type : {"f16", "bf16"}) {
    const Tensor x = parsed(concat(type, "{{-57344}, {-49152}}")), t = parsed("i64{0, 0}"),
                 w = parsed(concat(type, "{49152}")), expected = parsed(concat(type, " 53248"));
    EXPECT_TRUE(same_bits(Loss{likelihood}.of({x, t})[0], expected));
    EXPECT_TRUE(same_bits(Loss{likelihood}.of({x, t, w})[0], expected));
  }
}

TEST(NegativeLogLikelihoodLoss, fits_sizes_that_are_not_known_yet) {
  const Tensor t = parsed("i64{2, 0, -1, 1}");
  EXPECT_EQ(to_text(Loss{likelihood, "none", -1}.of({log_p, t, weight}, Dims::named)[0]), "f32{12, 4, 0, 3}");
  EXPECT_THROW((Loss{likelihood, "none"}.of({log_p, parsed("i64{2, 0}")}, Dims::named)), Error);
}

std::string refusal(const Loss& loss, const std::vector<Tensor>& in) {
  try {
    loss.of(in);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::bad_input);
    return e.what();
  }
  return "none";
}

TEST(NegativeLogLikelihoodLoss, refuses_targets_that_are_no_class) {
  EXPECT_THAT(refusal({likelihood}, {log_p, parsed("i64{0, 1, 2, 3}")}), HasSubstr("index 3 is outside [-3, 2]"));
  EXPECT_THAT(refusal({likelihood}, {log_p, parsed("i64{0, 1, 2, -1}")}), HasSubstr("is outside [-3, 2]"));
  EXPECT_THAT(refusal({likelihood, "sum", -100}, {log_p, parsed("i32{0, -100, 2, -1}"), weight}),
              HasSubstr("is outside [-3, 2]"));
}

TEST(NegativeLogLikelihoodLoss, refuses_what_does_not_fit) {
  EXPECT_THAT(refusal({likelihood}, {log_p, parsed("i64{0, 1}")}),
              HasSubstr("targets of scores [4x3] have shape [4], not [2]"));
  EXPECT_THAT(refusal({likelihood}, {parsed("{1, 2}"), parsed("i64 0")}), HasSubstr("a batch and a class axis"));
  EXPECT_THAT(refusal({likelihood}, {log_p, parsed("i64{0, 1, 2, 0}"), parsed("{1, 2}")}),
              HasSubstr("there are 3 classes, but weights of shape [2]"));
  EXPECT_THAT(refusal({likelihood, "max"}, {log_p, parsed("i64{0, 1, 2, 0}")}),
              HasSubstr("'reduction' must be none, mean or sum, got 'max'"));
}

TEST(SoftmaxCrossEntropyLoss, of_large_scores_does_not_overflow) {
  const auto y = Loss{.op = entropy, .reduction = "none", .outputs = 2}.of(
      {parsed("{{1000, 0}, {0, 0}, {-1e38, 3e38}}"), parsed("i64{1, 0, 1}")});
  EXPECT_TRUE(close(y[0], parsed("{1000, 0.6931472, 0}")));
  EXPECT_TRUE(close(y[1].reshaped({6}), parsed("{0, -1000, -0.6931472, -0.6931472, -inf, 0}")));
}

TEST(SoftmaxCrossEntropyLoss, weighs_and_ignores_labels) {
  // log(1 + e), log 2, log(1 + e^2)
  const Tensor x = parsed("{{0, 1}, {0, 0}, {2, 0}, {7, 7}}"), t = parsed("i32{0, 1, 1, 3}"), w = parsed("{3, 0.5}");
  EXPECT_TRUE(close(Loss{entropy, "none", 3}.of({x, t})[0], parsed("{1.3132617, 0.6931472, 2.1269280, 0}")));
  EXPECT_TRUE(close(Loss{entropy, "mean", 3}.of({x, t, w})[0], parsed("1.3374557")));
}

TEST(SoftmaxCrossEntropyLoss, of_its_first_version_is_the_same) {
  const std::vector<Tensor> in{parsed("{{{0, 5}, {0, 5}}}"), parsed("i64{{1, 0}}")};
  EXPECT_TRUE(close(Loss{.op = entropy, .opset = 12}.of(in)[0], parsed("0.6931472")));
}

// Loaded before its sizes are known.
Graph bound(const Loss& loss, const std::vector<Tensor>& in) {
  Graph g = loss.graph(in, Dims::named);
  Binding binding;
  for (std::size_t i = 0; i < in.size(); ++i) binding.shapes[g.at(g.inputs[i].value).name] = in[i].shape();
  bind_shapes(g, binding);
  fold_constants(g, builtin_registry());
  return g;
}

TEST(Losses, have_the_gradients_that_central_differences_say) {
  const Tensor x = parsed("f64{{{0.5, -1}, {0.25, 2}, {-0.75, 1}}, {{1, 0}, {-0.5, 0.75}, {1.5, -2}}}");
  const Tensor t = parsed("i64{{2, 0}, {-7, 1}}"), w = parsed("f64{0.5, 1.5, 2}");
  for (const auto& op : {likelihood, entropy})
    for (const auto* reduction : {"none", "mean", "sum"})
      for (const auto& in : {std::vector{x, t}, std::vector{x, t, w}}) {
        const Loss loss{.op = op, .reduction = reduction, .ignore_index = -7, .outputs = op == entropy ? 2 : 1};
        EXPECT_THAT(gradient_errors(loss.graph(in), in, builtin_registry()), IsEmpty()) << op << ' ' << reduction;
        EXPECT_THAT(gradient_errors(bound(loss, in), in, builtin_registry()), IsEmpty())
            << op << ' ' << reduction << " bound";
      }
}

}  // namespace
}  // namespace tessera
