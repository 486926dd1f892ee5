// GridSample against its definition in f64, one element at a time: 1 to 3 axes, all modes and paddings.
#include <gmock/gmock.h>

#include <cmath>

#include "runtime/op/evaluate.h"
#include "runtime/tensor/text.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/full_registry.h"
#include "tests/support/interpret.h"
#include "tests/support/made_up.h"
#include "tests/support/model_text.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

struct Words {
  std::string mode, padding;
  bool align;
  Attributes attributes() const {
    return {{"mode", mode}, {"padding_mode", padding}, {"align_corners", std::int64_t{align}}};
  }
};

std::vector<Words> all_words() {
  std::vector<Words> list;
  for (const auto* mode : {"nearest", "linear", "cubic"})
    for (const auto* padding : {"zeros", "border", "reflection"})
      for (const bool align : {false, true}) list.push_back({mode, padding, align});
  return list;
}

// Mirrored until inside.
double mirrored(double x, double low, double high) {
  if (high <= low) return 0;
  while (x < low || x > high) x = x < low ? 2 * low - x : 2 * high - x;
  return x;
}

// Elements of an axis of n and their weights at number g of a point.
std::vector<std::pair<std::int64_t, double>> axis(const Words& w, double g, std::int64_t n) {
  const double size = static_cast<double>(n), low = w.align ? 0 : -0.5, high = w.align ? size - 1 : size - 0.5;
  double x = w.align ? (g + 1) / 2 * (size - 1) : ((g + 1) * size - 1) / 2;
  if (w.mode == "nearest") x = std::nearbyint(x);
  if (x < low || x > high) {
    if (w.padding == "border") x = std::clamp(x, 0.0, size - 1);
    if (w.padding == "reflection") x = mirrored(x, low, high);
  }
  const double base = std::floor(x), f = x - base;
  std::vector<std::pair<double, double>> taps;
  if (w.mode == "nearest") {
    taps = {{std::nearbyint(x), 1}};
  } else if (w.mode == "linear") {
    taps = {{base, 1 - f}, {base + 1, f}};
  } else {
    for (int i = -1; i < 3; ++i) {
      const double d = std::abs(f - i), a = -0.75;
      taps.push_back({base + i, d <= 1 ? (a + 2) * d * d * d - (a + 3) * d * d + 1
                                       : a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a});
    }
  }
  std::vector<std::pair<std::int64_t, double>> inside;
  for (const auto& [at, weight] : taps) {
    if (w.padding == "zeros" && (at < 0 || at > size - 1)) continue;
    const double place = w.padding == "border"       ? std::clamp(at, 0.0, size - 1)
                         : w.padding == "reflection" ? std::trunc(mirrored(at, low, high))
                                                     : at;
    inside.push_back({static_cast<std::int64_t>(place), weight});
  }
  return inside;
}

// X at a point, from axis `a` on; `offset` counts the elements before.
double sample(const Words& w, const double* x, const Shape& in, const double* point, std::size_t a,
              std::int64_t offset) {
  if (a == in.size()) return x[offset];
  double sum = 0;
  for (const auto& [place, weight] : axis(w, point[in.size() - 1 - a], in[a]))
    sum += weight * sample(w, x, in, point, a + 1, offset * in[a] + place);
  return sum;
}

Tensor definition(const Words& w, const Tensor& x, const Tensor& grid) {
  Shape in(x.shape().begin() + 2, x.shape().end()), y = x.shape();
  const auto axes = in.size();
  for (std::size_t a = 0; a < axes; ++a) y[a + 2] = grid.shape()[a + 1];
  Tensor out = Tensor::zeros(DType::f64, y);
  const std::int64_t points = count(y) / (y[0] * y[1]), size = count(in);
  for (std::int64_t row = 0; row < y[0] * y[1]; ++row)
    for (std::int64_t p = 0; p < points; ++p)
      out.write<double>()[static_cast<std::size_t>(row * points + p)] =
          sample(w, x.read<double>().data() + row * size, in,
                 grid.read<double>().data() + (row / y[1] * points + p) * static_cast<std::int64_t>(axes), 0, 0);
  return out;
}

Tensor run(const Words& w, const Tensor& x, const Tensor& grid) {
  return evaluate(builtin_registry().at("GridSample"), w.attributes(), std::vector<const Tensor*>{&x, &grid}, 1)[0];
}

// Points on both sides of the edges of X.
Tensor points(const Shape& shape, unsigned seed) { return made_up(DType::f64, shape, seed); }

TEST(GridSample, follows_its_definition) {
  for (const auto& w : all_words())
    for (const auto& [x, grid] : {std::pair{Shape{2, 3, 7}, Shape{2, 11, 1}},
                                  {Shape{2, 3, 5, 6}, Shape{2, 4, 9, 2}},
                                  {Shape{1, 2, 3, 4, 5}, Shape{1, 2, 3, 4, 3}},
                                  {Shape{2, 1, 1, 1}, Shape{2, 3, 3, 2}},
                                  {Shape{1, 2, 8, 9}, Shape{1, 20, 30, 2}}}) {
      const Tensor image = made_up(DType::f64, x, 3), at = points(grid, 5);
      SCOPED_TRACE(concat(w.mode, " ", w.padding, w.align ? " aligned " : " ", x));
      EXPECT_TRUE(close(run(w, image, at), definition(w, image, at), {1e-12, 1e-12}));
      const Tensor rounded = converted(at, DType::f32), wide = converted(rounded, DType::f64);
      const Tensor narrow = converted(image, DType::f32), expected = definition(w, converted(narrow, DType::f64), wide);
      EXPECT_TRUE(close(run(w, narrow, rounded), converted(expected, DType::f32), {2e-5, 2e-5}));
    }
}

// Their own names, in models as exporters write them.
TEST(GridSample, of_opset_16_has_modes_of_pictures) {
  const Tensor x = made_up(DType::f32, {1, 2, 4, 5}, 3), grid = converted(points({1, 3, 3, 2}, 5), DType::f32);
  for (const auto& [old, mode] : {std::pair{"bilinear", "linear"}, {"bicubic", "cubic"}, {"nearest", "nearest"}}) {
    const Graph g = load_text(
        concat("node { op_type: \"GridSample\" input: \"x\" input: \"grid\" output: \"y\" attribute { "
               "name: \"mode\" s: \"",
               old, "\" type: STRING } } ", input_text("x", x), input_text("grid", grid), "output { name: \"y\" }"),
        {}, 16);
    const auto out = interpret(g, std::map<std::string, Tensor>{{"x", x}, {"grid", grid}});
    EXPECT_TRUE(close(out.at("y"), run({mode, "zeros", false}, x, grid), {0, 0})) << old;
  }
}

TEST(GridSample, has_the_gradients_that_central_differences_say) {
  const Tensor x = made_up(DType::f64, {1, 3, 4, 5}, 3), grid = points({1, 2, 3, 2}, 8);
  for (const auto& w : all_words()) {
    std::string node = "node { op_type: \"GridSample\" input: \"x\" input: \"grid\" output: \"y\" ";
    for (const auto& [name, word] : {std::pair{"mode", w.mode}, {"padding_mode", w.padding}})
      node += concat("attribute { name: \"", name, "\" s: \"", word, "\" type: STRING } ");
    node += concat("attribute { name: \"align_corners\" i: ", w.align ? 1 : 0, " type: INT } } ");
    const Graph g = load_text(node + input_text("x", x) + input_text("grid", grid) + "output { name: \"y\" }", {}, 20);
    EXPECT_THAT(gradient_errors(g, {x, grid}, builtin_registry()), testing::IsEmpty())
        << w.mode << " " << w.padding << w.align;
  }
}

TEST(GridSample, threads_change_no_bit) {
  const Tensor x = made_up(DType::f32, {2, 19, 30, 40}, 3), grid = converted(points({2, 50, 60, 2}, 5), DType::f32);
  const Tensor dy = made_up(DType::f32, {2, 19, 50, 60}, 4);
  const auto gradients = [&] {
    return evaluate(builtin_registry().at("tessera::GridSampleGrad"), {}, std::vector<const Tensor*>{&x, &grid, &dy},
                    2);
  };
  std::vector<Tensor> one, many;
  with_threads(1, [&] { one = gradients(), one.push_back(run({"linear", "border", false}, x, grid)); });
  with_threads(8, [&] { many = gradients(), many.push_back(run({"linear", "border", false}, x, grid)); });
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(close(one[i], many[i], {0, 0})) << i;
}

TEST(GridSample, takes_points_that_are_nowhere) {
  const Tensor x = tensor_from_text("f64{{{1, 2, 3}}}"),
               grid = tensor_from_text("f64{{{nan}, {inf}, {-inf}, {1e30}, {-1e30}}}");
  for (const auto& w : all_words()) {
    const Tensor y = run(w, x, grid);
    for (const double v : y.read<double>()) {
      EXPECT_TRUE(w.padding == "zeros" ? v == 0 : v >= 0.5 && v <= 3.5) << w.mode << " " << w.padding << " " << v;
    }
  }
}

TEST(GridSample, says_what_does_not_fit) {
  const auto refusal = [](const Words& w, const std::string& x, const std::string& grid) -> std::string {
    try {
      run(w, tensor_from_text(x), tensor_from_text(grid));
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  using testing::HasSubstr;
  const Words good{"linear", "zeros", false};
  EXPECT_THAT(refusal(good, "{{1, 2}}", "{{1, 2}}"), HasSubstr("X must be [N C in...]"));
  EXPECT_THAT(refusal(good, "{{{1, 2}}}", "{{{1, 2}}}"), HasSubstr("grid must be [1 out... 1]"));
  EXPECT_THAT(refusal(good, "f32[1x1x0]{}", "{{{1}}}"), HasSubstr("X has nothing to sample"));
  EXPECT_THAT(refusal({"area", "zeros", false}, "{{{1, 2}}}", "{{{1}}}"),
              HasSubstr("'mode' must be nearest, linear or cubic, got 'area'"));
  EXPECT_THAT(refusal({"linear", "wrap", false}, "{{{1, 2}}}", "{{{1}}}"),
              HasSubstr("'padding_mode' must be zeros, border or reflection, got 'wrap'"));
}

}  // namespace
}  // namespace tessera
