// The small parts of the runner that need no process.
#include <gtest/gtest.h>

#include "runtime/tensor/text.h"
#include "tools/bench/ratio.h"
#include "tools/compare_tensors.h"
#include "tools/data_set.h"
#include "tools/environment.h"
#include "tools/flags.h"
#include "tools/random.h"
#include "tools/table.h"

namespace tessera {
namespace {

Comparison compared(const char* actual, const char* expected, Tolerance t = {}) {
  return compare(tensor_from_text(actual), tensor_from_text(expected), t);
}

TEST(Compare, follows_the_rule) {
  EXPECT_TRUE(compared("{1, 2}", "{1, 2.001}").ok());
  EXPECT_FALSE(compared("{1, 2}", "{1, 2.01}").ok());
  EXPECT_TRUE(compared("{0.05, 100}", "{0, 100}", {0, 0, 1e-3}).ok());
  EXPECT_FALSE(compared("{0.2, 100}", "{0, 100}", {0, 0, 1e-3}).ok());
  EXPECT_TRUE(compared("{nan, inf, -inf}", "{nan, inf, -inf}").ok());
  EXPECT_FALSE(compared("{inf}", "{-inf}").ok());
  EXPECT_FALSE(compared("{nan}", "{1}").ok());
  EXPECT_FALSE(compared("{1}", "{inf}", {1, 1, 1}).ok());
  EXPECT_FALSE(compared("i64{1}", "i64{2}", {10, 10, 10}).ok());
  EXPECT_FALSE(compared("{1}", "f64{1}").ok());
  EXPECT_FALSE(compared("{1}", "{{1}}").ok());
  EXPECT_TRUE(compared("f32[0]{}", "f32[0]{}").ok());
  EXPECT_EQ(compared("{{1, 2}, {3, 9}}", "{{1, 2}, {3, 4}}").problem,
            "1 of 4 elements differ, most at [1, 1]: 9, should be 4");
  EXPECT_EQ(compared("i64{1234567}", "i64{1234568}").problem,
            "1 of 1 elements differ, most at [0]: 1234567, should be 1234568");
  EXPECT_EQ(compared("{1.0000001}", "{1}", {0, 0, {}}).problem,
            "1 of 1 elements differ, most at [0]: 1.0000001, should be 1");
}

TEST(Pairing, own_names_win_then_order) {
  const Tensor one = tensor_from_text("{1}"), two = tensor_from_text("{2}");
  auto pairs = paired({{"", one}, {"a", two}}, {"a", "b", "c"});
  EXPECT_TRUE(same_bits(pairs.at("a"), two));
  EXPECT_TRUE(same_bits(pairs.at("b"), one));
  EXPECT_FALSE(pairs.contains("c"));
  EXPECT_THROW(paired({{"", one}, {"", two}}, {"a"}), Error);
  EXPECT_THROW(paired({{"a", one}, {"a", two}}, {"a", "b"}), Error);
}

// The numbers of the documented formula, so that they never change unnoticed.
TEST(Random, is_the_documented_sequence) {
  EXPECT_EQ(to_text(random_integers(DType::i64, {6}, 0, 100, 7)), "i64{45, 72, 64, 54, 60, 34}");
  const float normal[] = {0.7112884521484375f, -0.90618896484375f, 0.6798858642578125f},
              uniform[] = {0.838887631893158f, 0.7375181317329407f};  // by the formula in Python
  for (int i = 0; i < 3; ++i) EXPECT_EQ(random_normal(DType::f32, {3}, 7).read<float>()[i], normal[i]);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(random_uniform(DType::f32, {2}, 3).read<float>()[i], uniform[i]);
  const Tensor n = random_normal(DType::f32, {100000}, 1);
  double sum = 0, squares = 0;
  for (const float x : n.read<float>()) {
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / 1e5, 0, 0.01);
  EXPECT_NEAR(squares / 1e5, 1, 0.02);
  std::vector<float> tail(10);
  fill_normal(tail, 1, 99990);
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), n.read<float>().end() - 10));
  const Tensor uniforms = random_uniform(DType::f32, {1000}, 3);
  for (const float u : uniforms.read<float>()) EXPECT_TRUE(u >= 0 && u < 1);
  EXPECT_THROW(random_normal(DType::i64, {1}, 0), Error);
  EXPECT_THROW(random_integers(DType::i64, {1}, 3, 3, 0), Error);
  EXPECT_EQ(to_text(random_integers(DType::u8, {1}, 255, 256, 0)), "u8{255}");
  EXPECT_THROW(random_integers(DType::u8, {1}, 0, 257, 0), Error);
  EXPECT_THROW(random_integers(DType::u64, {1}, -1, 1, 0), Error);
  EXPECT_THROW(random_integers(DType::f16, {1}, 0, 1'000'000, 0), Error);
  EXPECT_THROW(random_integers(DType::boolean, {1}, 0, 3, 0), Error);
}

TEST(Table, forms) {
  const Table t{{"name", "n"}, {{"a, b", "1"}, {"c", "-20"}}};
  EXPECT_EQ(render(t, Format::table), "name    n\na, b    1\nc     -20\n");
  EXPECT_EQ(render(t, Format::md), "| name |   n |\n| ---- | --: |\n| a, b |   1 |\n| c    | -20 |\n");
  EXPECT_EQ(render(t, Format::csv), "name,n\n\"a, b\",1\nc,-20\n");
  const Table odd{{"a|b"}, {{"1 of 2 elements differ\x1b\n"}, {"longer than all of the others"}}};
  EXPECT_EQ(render(odd, Format::md),
            "| a\\|b                          |\n| ----------------------------- |\n"
            "| 1 of 2 elements differ        |\n| longer than all of the others |\n");
  EXPECT_EQ(render({{"n"}, {{"a\rb"}}}, Format::csv), "n\n\"a\rb\"\n");
  EXPECT_EQ(with_commas(-1234567), "-1,234,567");
  EXPECT_EQ(with_commas(123), "123");
  EXPECT_EQ(readable_time(0.0123), "12.3 ms");
  EXPECT_EQ(readable_bytes(1.5e6), "1.50 MB");
  EXPECT_EQ(readable_count(12), "12");
}

TEST(Flags, bytes) {
  EXPECT_EQ(parse_bytes("512M", "f"), std::size_t{512} << 20);
  EXPECT_EQ(parse_bytes("2GiB", "f"), std::size_t{2} << 30);
  EXPECT_EQ(parse_bytes("17", "f"), 17u);
  EXPECT_EQ(parse_bytes("3k", "f"), 3072u);
  for (const char* bad : {"", "M", "-1", "1.5G", "99999999999T", "2X", "1iBi"})
    EXPECT_THROW(parse_bytes(bad, "f"), Error) << bad;
}

TEST(Flags, assignments) {
  EXPECT_EQ(split_assignment("x=a=b.npy", "f"), std::pair(std::string("x"), std::string("a=b.npy")));
  for (const char* bad : {"x", "=x", "x="}) EXPECT_THROW(split_assignment(bad, "f"), Error) << bad;
}

TEST(Environment, names_what_kernels_were_compiled_for) {
  EXPECT_EQ(isa_name("x86-64-v3"), "x86-64-v3");
  EXPECT_EQ(isa_name("haswell"), "haswell");
  EXPECT_EQ(isa_name(""), "default");
  EXPECT_NE(isa_name("native"), "native") << "what this machine has";
}

TEST(Ratio, median_and_interval) {
  std::vector<double> a, b;
  for (int i = 1; i <= 15; ++i) {
    a.push_back(i);
    b.push_back(1);
  }
  const Ratio r = paired_ratio(a, b);
  EXPECT_EQ(r.median, 8);
  EXPECT_EQ(r.low, 4);  // Conover's table: n = 15, ranks 4 and 12
  EXPECT_EQ(r.high, 12);
  EXPECT_EQ(paired_ratio({2, 1}, {1, 1}).low, 1);
  EXPECT_EQ(percentile({5, 1, 2, 3, 4, 6, 7, 8, 9, 10}, 0.9), 9);
}

TEST(Requirement, grammar) {
  const auto r = parse_requirement("ratio <= 0.9", {"ratio"});
  EXPECT_TRUE(r.holds(0.9));
  EXPECT_FALSE(r.holds(0.91));
  EXPECT_TRUE(parse_requirement("gflops>1e2 ", {"gflops"}).holds(101));
  for (const char* bad : {"ratio", "ratio=1", "ratoi<1", "ratio<", "ratio<x", "ratio<1x"})
    EXPECT_THROW(parse_requirement(bad, {"ratio"}), Error) << bad;
}

}  // namespace
}  // namespace tessera
