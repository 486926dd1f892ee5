// Pools of random geometries against their definition, element by element; the sizes and windows they refuse.
#include "ops/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
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
  Tensor tensor(DType dtype, const Shape& shape) {  // few values: many are equal
    std::vector<double> v(static_cast<std::size_t>(count(shape)));
    for (auto& x : v) x = static_cast<double>(below(9) - 4);
    return converted(Tensor::of<double>(shape, v), dtype);
  }

 private:
  std::mt19937 random_{5};
};

std::vector<Tensor> run(std::string_view op, const Tensor& x, const Attributes& attributes, int outputs = 1) {
  return evaluate(builtin_registry().at(op), attributes, std::vector<const Tensor*>{&x}, outputs);
}

struct Geometry {
  Shape x, y{};
  Window window{};
  Attributes attributes{};
};

Geometry random_geometry(Numbers& random, std::int64_t axes, std::int64_t longest) {
  Geometry g{{1 + random.below(2), 1 + random.below(3)}};
  g.y = g.x;
  const bool up = random.below(2) == 1;
  for (std::int64_t i = 0; i < axes; ++i) {
    WindowAxis w;
    w.kernel = 1 + random.below(4);
    w.stride = 1 + random.below(4);
    w.dilation = 1 + random.below(2);
    w.in = w.extent() + random.below(longest);
    w.begin = random.below(w.extent());
    w.end = random.below(w.extent());
    // Windows at every stride, for as long as they fit the padded input; rounded up, for as long as they start in it.
    for (std::int64_t start = -w.begin; start < w.in && (start + w.extent() <= w.in + w.end || up); start += w.stride) {
      ++w.out;
      if (start + w.extent() >= w.in + w.end) break;
    }
    g.x.push_back(w.in);
    g.y.push_back(w.out);
    g.window.push_back(w);
  }
  g.attributes = window_attributes(g.window);
  g.attributes["ceil_mode"] = std::int64_t{up};
  return g;
}

struct Pooled {
  std::vector<double> largest, mean, padded_mean;
  std::vector<std::int64_t> places;
};

Pooled by_definition(const Geometry& g, const Tensor& x) {
  const auto xs = doubles(x);
  const Shape kernel = kernels(g.window), out = outs(g.window);
  const std::int64_t plane = count(ins(g.window));
  Pooled p;
  for (std::int64_t at = 0; at < count(g.y); ++at) {
    double largest = -std::numeric_limits<double>::infinity(), sum = 0, elements = 0, padded = 0;
    std::int64_t place = -1;
    for (std::int64_t tap = 0; tap < count(kernel); ++tap) {
      std::int64_t offset = 0, size = 1, o = at % count(out), t = tap;
      bool inside = true, counts = true;
      for (std::size_t a = g.window.size(); a-- > 0; o /= out[a], t /= kernel[a]) {
        const auto& w = g.window[a];
        const std::int64_t i = o % out[a] * w.stride + t % kernel[a] * w.dilation - w.begin;
        inside = inside && i >= 0 && i < w.in;
        counts = counts && i < w.in + w.end;
        offset += i * size;
        size *= w.in;
      }
      padded += counts;
      if (!inside) continue;
      const std::int64_t from = at / count(out) * plane + offset;
      const double v = xs[static_cast<std::size_t>(from)];
      sum += v;
      ++elements;
      if (place >= 0 && v <= largest) continue;
      largest = v;
      place = from;
    }
    p.largest.push_back(largest);
    p.places.push_back(place);
    p.mean.push_back(sum / elements);
    p.padded_mean.push_back(sum / padded);
  }
  return p;
}

// Dilated windows that step over a short input are refused; this looks for them by trying all taps.
bool every_window_reads_input(const Geometry& g) {
  for (const auto& w : g.window)
    for (std::int64_t o = 0; o < w.out; ++o) {
      bool any = false;
      for (std::int64_t t = 0; t < w.kernel; ++t) {
        const std::int64_t i = o * w.stride + t * w.dilation - w.begin;
        any = any || (i >= 0 && i < w.in);
      }
      if (!any) return false;
    }
  return true;
}

TEST(Pool, follows_its_definition) {
  Numbers random;
  int rounds = 0;
  while (rounds < 200) {
    const Geometry g = random_geometry(random, 1 + rounds % 3, rounds % 10 == 0 ? 1100 / (1 + rounds % 3) : 6);
    if (!every_window_reads_input(g) || count(g.x) > 500'000) continue;
    ++rounds;
    SCOPED_TRACE(concat("x ", g.x, " y ", g.y));
    Attributes padded = g.attributes;
    padded["count_include_pad"] = std::int64_t{1};
    for (const DType t : {DType::f32, DType::f64, DType::bf16}) {
      const Tensor x = random.tensor(t, g.x);
      const Pooled expected = by_definition(g, x);
      const auto f64 = [&](const std::vector<double>& v) { return Tensor::of<double>(g.y, v); };
      const auto largest = run("MaxPool", x, g.attributes, 2);
      ASSERT_EQ(largest[0].shape(), g.y);
      EXPECT_TRUE(same_bits(largest[0], converted(f64(expected.largest), t)));
      EXPECT_TRUE(same_bits(largest[1], Tensor::of<std::int64_t>(g.y, expected.places)));
      EXPECT_TRUE(same_bits(run("MaxPool", x, g.attributes)[0], largest[0]));
      const Tensor mean = run("AveragePool", x, g.attributes)[0], padded_mean = run("AveragePool", x, padded)[0];
      EXPECT_TRUE(close(converted(mean, DType::f64), f64(expected.mean), tolerance_of(t)));
      EXPECT_TRUE(close(converted(padded_mean, DType::f64), f64(expected.padded_mean), tolerance_of(t)));
    }
  }
}

TEST(Pool, gives_the_same_bits_on_any_number_of_threads) {
  Numbers random;
  const Tensor x = random.tensor(DType::f32, {3, 5, 61, 67});
  const Attributes attributes{{"kernel_shape", std::vector<std::int64_t>{9, 9}},
                              {"strides", std::vector<std::int64_t>{2, 1}}};
  for (const auto op : {"MaxPool", "AveragePool"}) {
    std::vector<Tensor> one, many;
    with_threads(1, [&] { one = run(op, x, attributes); });
    with_threads(8, [&] { many = run(op, x, attributes); });
    EXPECT_TRUE(same_bits(one[0], many[0])) << op;
  }
}

std::string refusal(std::string_view op, const Shape& x, const Attributes& attributes) {
  try {
    run(op, Tensor::zeros(DType::f32, x), attributes);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Pool, says_what_does_not_fit) {
  using Ints = std::vector<std::int64_t>;
  using testing::HasSubstr;
  EXPECT_THAT(refusal("MaxPool", {1, 4}, {{"kernel_shape", Ints{2}}}), HasSubstr("rank 3 or more"));
  EXPECT_THAT(refusal("MaxPool", {1, 1, 4}, {}), HasSubstr("kernel_shape"));
  EXPECT_THAT(refusal("MaxPool", {1, 1, 4}, {{"kernel_shape", Ints{2, 2}}}), HasSubstr("kernel of rank 2"));
  EXPECT_THAT(refusal("AveragePool", {1, 1, 4}, {{"kernel_shape", Ints{0}}}), HasSubstr("a kernel of 0"));
  EXPECT_THAT(refusal("AveragePool", {1, 1, 4}, {{"kernel_shape", Ints{7}}}), HasSubstr("does not fit"));
  EXPECT_THAT(refusal("MaxPool", {1, 1, 4}, {{"kernel_shape", Ints{2}}, {"pads", Ints{2, 0}}}),
              HasSubstr("less than the window"));
  EXPECT_THAT(refusal("MaxPool", {1, 1, 4}, {{"kernel_shape", Ints{2}}, {"pads", Ints{0, -1}}}),
              HasSubstr("none negative"));
  EXPECT_THAT(refusal("MaxPool", {1, 1, 4}, {{"kernel_shape", Ints{2}}, {"storage_order", std::int64_t{2}}}),
              HasSubstr("storage_order"));
  // Taps at -1 and 1 of one element.
  const Attributes sparse{{"kernel_shape", Ints{2}}, {"pads", Ints{1, 1}}, {"dilations", Ints{2}}};
  EXPECT_THAT(refusal("MaxPool", {1, 1, 1}, sparse), HasSubstr("reads no input"));
  EXPECT_THAT(refusal("MaxPool", {1, 1, 0}, {{"kernel_shape", Ints{2}}, {"pads", Ints{1, 1}}}),
              HasSubstr("reads no input"));
  EXPECT_EQ(refusal("MaxPool", {1, 1, 2}, sparse), "");
  // Sizes that no memory holds are refused before anything is walked over.
  const std::int64_t huge = std::int64_t{1} << 40;
  EXPECT_NE(refusal("MaxPool", {1, 1, 4}, {{"kernel_shape", Ints{huge}}, {"pads", Ints{huge - 1, huge - 1}}}), "");
}

}  // namespace
}  // namespace tessera
