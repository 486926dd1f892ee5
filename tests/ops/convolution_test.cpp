// Convolutions of random geometries against their definition, and against each other as adjoints.
#include "ops/convolution.h"

#include <gtest/gtest.h>

#include <random>

#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "tests/support/compare.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

class Numbers {
 public:
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(n)); }
  Tensor tensor(DType dtype, const Shape& shape) {  // small halves: sums are exact
    std::vector<double> v(static_cast<std::size_t>(count(shape)));
    for (auto& x : v) x = static_cast<double>(below(9) - 4) / 2;
    return converted(Tensor::of<double>(shape, v), dtype);
  }

 private:
  std::mt19937 random_{11};
};

Tensor run(std::string_view op, const std::vector<Tensor>& in, const Attributes& attributes) {
  std::vector<const Tensor*> p;
  for (const auto& t : in) p.push_back(&t);
  return evaluate(builtin_registry().at(op), attributes, p, 1)[0];
}

struct Geometry {
  Convolution sizes;
  Attributes attributes;
  Shape x, w, y;
};

Geometry random_geometry(Numbers& random, int axes) {
  Geometry g;
  auto& c = g.sizes;
  c.group = 1 + random.below(3);
  c.batch = 1 + random.below(2);
  c.channels = c.group * (1 + random.below(3));
  c.maps = c.group * (1 + random.below(3));
  g.x = {c.batch, c.channels};
  g.w = {c.maps, c.channels / c.group};
  g.y = {c.batch, c.maps};
  for (int i = 0; i < axes; ++i) {
    WindowAxis w;
    w.kernel = 1 + random.below(3);
    w.stride = 1 + random.below(3);
    w.dilation = 1 + random.below(2);
    w.begin = random.below(3);
    w.end = random.below(3);
    w.in = w.extent() + random.below(6);
    w.out = (w.in + w.begin + w.end - w.extent()) / w.stride + 1;
    c.window.push_back(w);
    g.x.push_back(w.in);
    g.w.push_back(w.kernel);
    g.y.push_back(w.out);
  }
  g.attributes = window_attributes(c.window);
  g.attributes["group"] = c.group;
  return g;
}

// Every product of the sum, one by one.
Tensor by_definition(const Geometry& g, const Tensor& x, const Tensor& w, const Tensor& b) {
  const auto& c = g.sizes;
  const auto xs = doubles(x), ws = doubles(w), bs = doubles(b);
  std::vector<double> y(static_cast<std::size_t>(count(g.y)));
  const Shape out = outs(c.window), kernel = kernels(c.window);
  const std::int64_t channels = c.channels / c.group;
  for (std::int64_t at = 0; at < count(g.y); ++at) {
    const std::int64_t position = at % c.positions(), map = at / c.positions() % c.maps,
                       sample = at / c.positions() / c.maps;
    double sum = bs[static_cast<std::size_t>(map)];
    for (std::int64_t channel = 0; channel < channels; ++channel)
      for (std::int64_t tap = 0; tap < c.taps(); ++tap) {
        std::int64_t offset = 0, size = 1, o = position, t = tap;
        bool inside = true;
        for (std::size_t a = c.window.size(); a-- > 0; o /= out[a], t /= kernel[a]) {
          const auto& axis = c.window[a];
          const std::int64_t i = o % out[a] * axis.stride + t % kernel[a] * axis.dilation - axis.begin;
          inside = inside && i >= 0 && i < axis.in;
          offset += i * size;
          size *= axis.in;
        }
        if (!inside) continue;
        const std::int64_t from = sample * c.channels + map / (c.maps / c.group) * channels + channel;
        sum += xs[static_cast<std::size_t>(from * size + offset)] *
               ws[static_cast<std::size_t>((map * channels + channel) * c.taps() + tap)];
      }
    y[static_cast<std::size_t>(at)] = sum;
  }
  return Tensor::of<double>(g.y, y);
}

double inner(const Tensor& a, const Tensor& b) {
  const auto x = doubles(a), y = doubles(b);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

TEST(Convolution, follows_its_definition) {
  Numbers random;
  for (int round = 0; round < 120; ++round) {
    const Geometry g = random_geometry(random, 1 + round % 4);
    SCOPED_TRACE(concat("x ", g.x, " w ", g.w, " y ", g.y, " group ", g.sizes.group));
    for (const DType t : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
      const Tensor x = random.tensor(t, g.x), w = random.tensor(t, g.w), b = random.tensor(t, {g.sizes.maps});
      const Tensor y = run("Conv", {x, w, b}, g.attributes);
      ASSERT_TRUE(close(converted(y, DType::f64), by_definition(g, x, w, b), tolerance_of(t))) << t;
    }
  }
}

// <y, w * x> = <x, adjoint of w * applied to y> = <w, sum of y x>.
TEST(Convolution, and_its_gradients_are_adjoint) {
  Numbers random;
  for (int round = 0; round < 120; ++round) {
    Geometry g = random_geometry(random, 1 + round % 3);
    SCOPED_TRACE(concat("x ", g.x, " w ", g.w, " y ", g.y, " group ", g.sizes.group));
    const Tensor x = random.tensor(DType::f64, g.x), w = random.tensor(DType::f64, g.w),
                 y = random.tensor(DType::f64, g.y);
    const double expected = inner(y, run("Conv", {x, w}, g.attributes));
    EXPECT_NEAR(inner(w, run("tessera::ConvWeightGrad", {x, y}, g.attributes)), expected, 1e-9);
    std::vector<std::int64_t> extra;
    for (const auto& a : g.sizes.window) extra.push_back((a.in + a.begin + a.end - a.extent()) % a.stride);
    g.attributes["output_padding"] = extra;
    const Tensor dx = run("ConvTranspose", {y, w}, g.attributes);
    ASSERT_EQ(dx.shape(), g.x);
    EXPECT_NEAR(inner(x, dx), expected, 1e-9);
  }
}

// Sizes at which the sums are cut into several pieces.
TEST(Convolution, is_the_same_for_any_number_of_threads) {
  Numbers random;
  Geometry g;
  g.sizes = {1, 1, 115, 3, {}};
  for (int i = 0; i < 2; ++i) g.sizes.window.push_back({34, 34, 3, 1, 1, 1, 1});
  g.x = {1, 115, 34, 34};
  g.w = {3, 115, 3, 3};
  g.y = {1, 3, 34, 34};
  g.attributes = window_attributes(g.sizes.window);
  const Tensor x = random.tensor(DType::f32, g.x), w = random.tensor(DType::f32, g.w),
               b = random.tensor(DType::f32, {3});
  const Tensor y = by_definition(g, x, w, b);
  const auto both = [&](std::string_view op, const std::vector<Tensor>& in) {
    Tensor one, many;
    with_threads(1, [&] { one = run(op, in, g.attributes); });
    with_threads(8, [&] { many = run(op, in, g.attributes); });
    EXPECT_TRUE(same_bits(one, many)) << op;
    return one;
  };
  EXPECT_TRUE(close(converted(both("Conv", {x, w, b}), DType::f64), y));
  both("ConvTranspose", {x, random.tensor(DType::f32, {115, 3, 3, 3})});
  both("tessera::ConvWeightGrad", {x, random.tensor(DType::f32, g.y)});
}

TEST(Convolution, of_nothing) {
  EXPECT_EQ(run("Conv", {Tensor(DType::f32, {2, 0, 3}), Tensor(DType::f32, {4, 0, 2})}, {}).shape(), (Shape{2, 4, 2}));
  EXPECT_EQ(run("Conv", {Tensor(DType::f32, {0, 1, 3}), Tensor(DType::f32, {4, 1, 2})}, {}).shape(), (Shape{0, 4, 2}));
  EXPECT_EQ(run("Conv", {Tensor(DType::f32, {1, 1, 1}), Tensor(DType::f32, {4, 1, 2})}, {}).shape(), (Shape{1, 4, 0}));
  EXPECT_THROW(run("Conv", {Tensor(DType::f32, {1, 1, 1}), Tensor(DType::f32, {4, 1, 9})}, {}), Error);
  EXPECT_THROW(run("Conv", {Tensor(DType::f32, {1, 3, 9}), Tensor(DType::f32, {4, 1, 2})}, {}), Error);
  EXPECT_THROW(
      run("Conv", {Tensor(DType::f32, {1, 1, 9}), Tensor(DType::f32, {4, 1, 2})}, {{"group", std::int64_t{0}}}), Error);
}

}  // namespace
}  // namespace tessera
