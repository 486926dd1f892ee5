// The product verb against sums in f64: ragged sizes, transposed operands, batches that broadcast, every type.
#include "ops/linalg.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <filesystem>
#include <vector>

#include "ops/linalg_panels.h"
#include "ops/linalg_tile.h"
#include "runtime/op/parallel.h"
#include "runtime/tensor/tensor.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

// Small whole numbers divided by 8: products and sums of moderate length are exact in f32.
template <class T>
std::vector<T> filled(std::int64_t n, int seed) {
  std::vector<T> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i) {
    const int x = static_cast<int>((i * 7919 + static_cast<std::size_t>(seed) * 104729) % 33) - 16;
    if constexpr (std::is_integral_v<T>)
      v[i] = static_cast<T>(x);
    else
      v[i] = static_cast<T>(static_cast<float>(x) / 8);
  }
  return v;
}

template <class T>
double value(T x) {
  if constexpr (sizeof(T) == 2)
    return static_cast<double>(static_cast<float>(x));
  else
    return static_cast<double>(x);
}

// Runs p on fresh operands of the sizes its strides reach and compares with the definition.
template <class T, class Multiply>
void expect_product(const Product& p, double tolerance, Multiply multiply) {
  const std::int64_t batches = count(p.batch);
  const auto reach = [&](const MatrixLayout& l, std::int64_t rows) {
    std::int64_t n = l.row_stride * rows;
    for (std::size_t i = 0; i < l.batch_strides.size(); ++i) n += l.batch_strides[i] * (p.batch[i] - 1);
    return std::max<std::int64_t>(n, 1);
  };
  const auto a = filled<T>(reach(p.a, p.a.transposed ? p.k : p.m), 1),
             b = filled<T>(reach(p.b, p.b.transposed ? p.n : p.k), 2);
  std::vector<T> c(static_cast<std::size_t>(reach(p.c, p.m)), static_cast<T>(float{99}));
  multiply(p, a.data(), b.data(), c.data());
  for (std::int64_t at = 0; at < batches; ++at) {
    std::int64_t oa = 0, ob = 0, oc = 0, rest = at;
    for (std::size_t i = p.batch.size(); i-- > 0; rest /= p.batch[i]) {
      const std::int64_t x = rest % p.batch[i];
      oa += x * p.a.batch_strides[i];
      ob += x * p.b.batch_strides[i];
      oc += x * p.c.batch_strides[i];
    }
    for (std::int64_t i = 0; i < p.m; ++i)
      for (std::int64_t j = 0; j < p.n; ++j) {
        double sum = 0;
        for (std::int64_t k = 0; k < p.k; ++k)
          sum +=
              value(a[static_cast<std::size_t>(oa +
                                               (p.a.transposed ? k * p.a.row_stride + i : i * p.a.row_stride + k))]) *
              value(
                  b[static_cast<std::size_t>(ob + (p.b.transposed ? j * p.b.row_stride + k : k * p.b.row_stride + j))]);
        sum *= static_cast<double>(p.alpha);
        if (p.addend)
          sum += static_cast<double>(p.beta) *
                 value(static_cast<const T*>(p.addend)[i * p.addend_rows + j * p.addend_columns]);
        if (p.accumulate) sum += 99;
        const double got = value(c[static_cast<std::size_t>(oc + i * p.c.row_stride + j)]);
        ASSERT_NEAR(got, sum, tolerance * std::max(1.0, std::abs(sum)))
            << p.m << "x" << p.n << "x" << p.k << " at " << at << ", " << i << ", " << j;
      }
  }
}

template <class T>
void expect_product(const Product& p, double tolerance) {
  expect_product<T>(p, tolerance,
                    [](const Product& q, const T* a, const T* b, T* c) { product(dtype_of<T>, q, a, b, c); });
}

Product dense(std::int64_t m, std::int64_t n, std::int64_t k, bool ta, bool tb) {
  Product p;
  p.m = m;
  p.n = n;
  p.k = k;
  p.a = {(ta ? m : k) + 3, ta};  // rows that are not adjacent
  p.b = {(tb ? k : n) + 1, tb};
  p.c = {n + 2};
  return p;
}

template <class T>
class ProductOf : public testing::Test {};
using ProductTypeList = testing::Types<float, double, f16, bf16, std::int32_t, std::int64_t>;
TYPED_TEST_SUITE(ProductOf, ProductTypeList);

TYPED_TEST(ProductOf, ragged_and_transposed_operands) {
  const double tolerance = sizeof(TypeParam) == 2 ? 1.0 / 128 : 1e-5;
  for (const auto m : {1, 7, 13, 65, 127})
    for (const auto n : {1, 7, 13, 65, 127})
      for (const auto k : {0, 1, 13, 127})
        for (const bool ta : {false, true})
          for (const bool tb : {false, true}) expect_product<TypeParam>(dense(m, n, k, ta, tb), tolerance);
}

// 70 x 511 x 500: here rows of B are 512 elements apart, which suits_panels looks at.
TYPED_TEST(ProductOf, products_cut_into_pieces) {
  const double tolerance = sizeof(TypeParam) == 2 ? 1.0 / 128 : 1e-5;
  for (const auto& [m, n, k] :
       {std::array{301, 533, 77}, std::array{3, 2011, 600}, std::array{2011, 3, 600}, std::array{70, 511, 500}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) expect_product<TypeParam>(dense(m, n, k, ta, tb), tolerance);
}

TYPED_TEST(ProductOf, batches_that_broadcast_with_an_addend) {
  const auto row = filled<TypeParam>(9, 3);
  Product p = dense(5, 9, 11, false, true);
  p.batch = {2, 3, 4};
  p.a.batch_strides = {3 * 70, 70, 0};
  p.b.batch_strides = {0, 0, 108};
  p.c.batch_strides = {12 * 55, 4 * 55, 55};
  p.addend = row.data();
  p.addend_columns = 1;
  expect_product<TypeParam>(p, sizeof(TypeParam) == 2 ? 1.0 / 128 : 1e-5);
}

TEST(Product, scales_and_adds) {
  const auto d = filled<float>(13 * 7, 4);
  for (const auto& [rows, columns] : {std::array{7, 1}, std::array{1, 0}, std::array{0, 1}, std::array{0, 0}}) {
    Product p = dense(13, 7, 5, true, false);
    p.alpha = -0.5f;
    p.beta = 2;
    p.addend = d.data();
    p.addend_rows = rows;
    p.addend_columns = columns;
    expect_product<float>(p, 1e-5);
  }
}

// Sizes that are cut into pieces, none of them whole.
TEST(Product, large_products_of_f32) {
  const auto d = filled<float>(203 * 437, 4);
  for (const bool transposed : {false, true})
    for (const auto& [n, k] : {std::array{437, 77}, std::array{192, 1541}}) {
      Product p = dense(203, n, k, false, transposed);
      expect_product<float>(p, 1e-5);
      p.alpha = -0.5f;
      p.accumulate = true;
      expect_product<float>(p, 1e-5);
      p.accumulate = false;
      p.addend = d.data();
      p.addend_columns = 1;
      expect_product<float>(p, 1e-5);
      p.addend_rows = n;
      p.batch = {3};
      p.a.batch_strides = {5};
      p.b.batch_strides = {0};
      p.c.batch_strides = {203 * p.c.row_stride};
      expect_product<float>(p, 1e-5);
    }
}

// Panels, tiles, tasks, groups of rows and columns, and chunks of k that end early, on any CPU and however small.
TEST(Product, by_packed_panels) {
  const auto d = filled<float>(130 * 1601, 4);
  for (const auto& [m, n, k] :
       {std::array{1, 1, 1}, std::array{7, 47, 16}, std::array{8, 48, 33}, std::array{130, 437, 77},
        std::array{13, 1601, 40}, std::array{1601, 13, 40}, std::array{65, 49, 3100}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        Product p = dense(m, n, k, ta, tb);
        expect_product<float>(p, 1e-5, panel_product);
        p.alpha = -0.5f;
        p.accumulate = true;
        expect_product<float>(p, 1e-5, panel_product);
        p.accumulate = false;
        p.addend = d.data();
        p.addend_columns = 1;
        expect_product<float>(p, 1e-5, panel_product);
        p.addend_rows = n;
        p.batch = {3};
        p.a.batch_strides = {5};
        p.b.batch_strides = {0};
        p.c.batch_strides = {m * p.c.row_stride};
        expect_product<float>(p, 1e-5, panel_product);
      }
}

TEST(Product, integers_wrap) {
  const std::int64_t a[] = {std::int64_t{1} << 62, 3}, b[] = {4, -5};
  std::int64_t c = 0;
  Product p;
  p.m = p.n = 1;
  p.k = 2;
  p.a = {2};
  p.b = p.c = {1};
  product(DType::i64, p, a, b, &c);
  EXPECT_EQ(c, -15);
}

TEST(Product, is_the_same_for_any_number_of_threads) {
  for (const auto& [m, n, k] : {std::array{517, 769, 333}, std::array{1, 5000, 700}, std::array{2100, 96, 64},
                                std::array{700, 1601, 300}, std::array{70, 511, 500}})
    for (const bool tb : {false, true}) {
      const Product p = dense(m, n, k, false, tb);
      std::vector<float> a(static_cast<std::size_t>(p.a.row_stride * m)),
          b(static_cast<std::size_t>(p.b.row_stride * (tb ? n : k)));
      for (std::size_t i = 0; i < a.size(); ++i) a[i] = std::sin(static_cast<float>(i));
      for (std::size_t i = 0; i < b.size(); ++i) b[i] = std::cos(static_cast<float>(i));
      std::vector<float> one(static_cast<std::size_t>(p.c.row_stride * m)), many = one;
      with_threads(1, [&] { product(DType::f32, p, a.data(), b.data(), one.data()); });
      with_threads(8, [&] { product(DType::f32, p, a.data(), b.data(), many.data()); });
      EXPECT_EQ(std::memcmp(one.data(), many.data(), one.size() * sizeof(float)), 0);
    }
}

// Sixteen-bit operands, sums and addend in f32: far closer to f64 than a result of sixteen bits could be, by the CPU's
// instructions and by widening, and the same for any number of threads.
TEST(Product, keeps_wide_sums) {
  for (const auto& [m, n, k] : {std::array{5, 7, 3}, std::array{130, 200, 77}, std::array{1, 3000, 600}})
    for (const DType type : {DType::bf16, DType::f16})
      for (const bool adds : {false, true}) {
        SCOPED_TRACE(concat(type, " ", m, "x", n, "x", k, adds ? " + row" : ""));
        const auto rounded = [&](std::int64_t size, int seed) {
          return converted(Tensor::of<float>(Shape{size}, filled<float>(size, seed)), type);
        };
        const Tensor a = rounded(m * k, 1), b = rounded(k * n, 2);
        const auto row = filled<float>(n, 3);
        Product p;
        p.m = m, p.n = n, p.k = k;
        p.a = {k}, p.b = p.c = {n};
        if (adds) p.addend = row.data(), p.addend_columns = 1;
        std::vector<float> one(static_cast<std::size_t>(m * n)), many = one;
        with_threads(1, [&] { wide_product(type, p, a.raw(), b.raw(), one.data()); });
        with_threads(8, [&] { wide_product(type, p, a.raw(), b.raw(), many.data()); });
        EXPECT_EQ(one, many);
        const auto x = doubles(a), y = doubles(b);
        for (int i = 0; i < m; ++i)
          for (int j = 0; j < n; ++j) {
            double sum = adds ? row[static_cast<std::size_t>(j)] : 0, size = std::abs(sum);
            for (int l = 0; l < k; ++l) {
              const double term = x[static_cast<std::size_t>(i * k + l)] * y[static_cast<std::size_t>(l * n + j)];
              sum += term;
              size += std::abs(term);
            }
            ASSERT_NEAR(one[static_cast<std::size_t>(i * n + j)], sum, 1e-6 * size) << i << ", " << j;
          }
      }
}

// Both libraries on the same piece: TESSERA_GEMM=eigen must not change answers beyond rounding.
TEST(Product, libraries_agree) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      const auto a = filled<float>(65 * 130, 1), b = filled<float>(130 * 77, 2);
      std::vector<float> x(65 * 77, 1.0f), y = x;
      const Tile t{65, 77, 130, ta ? 65 : 130, tb ? 130 : 77, 77, ta, tb, 0.5f, true};
      eigen_tile(t, a.data(), b.data(), x.data());
      onednn_tile(t, a.data(), b.data(), y.data());
      for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 1e-4 * std::max(1.0f, std::abs(x[i])));
    }
}

// oneDNN's OpenMP must not start threads of its own beside ours.
TEST(Product, leaves_the_callers_openmp_setting) {
  const auto a = filled<float>(600 * 600, 1), b = filled<float>(600 * 600, 2);
  std::vector<float> c(600 * 600);
  Product p;
  p.m = p.n = p.k = 600;
  p.a = p.b = p.c = {600};
  const int former = omp_get_max_threads();
  for (const int threads : {1, 2}) {
    omp_set_num_threads(3);
    with_threads(threads, [&] { product(DType::f32, p, a.data(), b.data(), c.data()); });
    EXPECT_EQ(omp_get_max_threads(), 3);
  }
  omp_set_num_threads(former);
}

TEST(Product, starts_no_threads) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
  };
  const auto a = filled<float>(600 * 600, 1), b = filled<float>(600 * 600, 2);
  std::vector<float> c(600 * 600);
  Product p;
  p.m = p.n = p.k = 600;
  p.a = p.b = p.c = {600};
  const auto run = [&] { product(DType::f32, p, a.data(), b.data(), c.data()); };
  with_threads(2, run);  // TBB's own workers
  const auto before = threads();
  for (int i = 0; i < 8; ++i) with_threads(2, run);
  EXPECT_EQ(threads(), before);
}

}  // namespace
}  // namespace tessera
