// Products of bytes against sums in 64-bit integers: ragged sizes, batches that broadcast, zero points of all forms,
// and operands so extreme that a sum of f32 would round.
#include "ops/linalg_bytes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "runtime/base/error.h"

namespace tessera {
namespace {

struct Bytes {
  bool is_signed;
  std::vector<std::uint8_t> data;
  std::vector<float> zeros;

  int at(std::int64_t i) const {
    const auto x = data[static_cast<std::size_t>(i)];
    return is_signed ? static_cast<std::int8_t>(x) : x;
  }
  int zero(std::int64_t i) const {
    return zeros.empty() ? 0 : static_cast<int>(zeros[static_cast<std::size_t>(i) % zeros.size()]);
  }
  ByteMatrix matrix() const { return {data.data(), is_signed, zeros}; }
};

// Bytes of the whole range or, `extreme`, all as far from their zero point as they can be.
Bytes bytes(std::mt19937& engine, bool is_signed, bool extreme, std::int64_t size, std::int64_t zeros) {
  const auto random = [&] { return static_cast<int>(engine() % 256) - (is_signed ? 128 : 0); };
  Bytes b{is_signed, {}, {}};
  for (std::int64_t i = 0; i < size; ++i)
    b.data.push_back(static_cast<std::uint8_t>(extreme ? (is_signed ? -128 : 255) : random()));
  for (std::int64_t i = 0; i < zeros; ++i)
    b.zeros.push_back(static_cast<float>(extreme ? (is_signed ? 127 : 0) : random()));
  return b;
}

void expect_sums(const Product& p, const Bytes& a, const Bytes& b) {
  const std::int64_t batches = count(p.batch);
  std::vector<std::int32_t> c(static_cast<std::size_t>(batches * p.m * p.c.row_stride), 99);
  byte_product(p, a.matrix(), b.matrix(), c.data());
  for (std::int64_t at = 0; at < batches; ++at) {
    const std::int64_t of_a = batch_offset(p.batch, p.a.batch_strides, at);
    const std::int64_t of_b = batch_offset(p.batch, p.b.batch_strides, at);
    const std::int64_t of_c = batch_offset(p.batch, p.c.batch_strides, at);
    for (std::int64_t i = 0; i < p.m; ++i)
      for (std::int64_t j = 0; j < p.n; ++j) {
        std::int64_t sum = 0;
        for (std::int64_t k = 0; k < p.k; ++k)
          sum += std::int64_t{a.at(of_a + i * p.a.row_stride + k) - a.zero(i)} *
                 (b.at(of_b + k * p.b.row_stride + j) - b.zero(j));
        ASSERT_EQ(c[static_cast<std::size_t>(of_c + i * p.c.row_stride + j)], static_cast<std::int32_t>(sum))
            << "batch " << at << ", " << i << ", " << j;
      }
  }
}

Product dense(std::int64_t m, std::int64_t n, std::int64_t k) {
  Product p;
  p.m = m, p.n = n, p.k = k;
  p.a.row_stride = k + 3, p.b.row_stride = n + 1, p.c.row_stride = n + 2;
  return p;
}

TEST(ByteProduct, of_any_size_and_zero_points) {
  std::mt19937 engine(3);
  for (const std::int64_t m : {1, 9, 131})
    for (const std::int64_t n : {1, 30, 259})
      for (const std::int64_t k : {0, 1, 77, 256, 515})
        for (const bool each : {false, true}) {
          SCOPED_TRACE(concat(m, " x ", n, " x ", k));
          const bool is_signed = engine() % 2;
          const auto a = bytes(engine, is_signed, false, m * (k + 3), each ? m : engine() % 2);
          const auto b =
              bytes(engine, !is_signed, false, std::max<std::int64_t>(k, 1) * (n + 1), each ? n : engine() % 2);
          expect_sums(dense(m, n, k), a, b);
        }
}

// 255^2 k is beyond 2^24, up to which f32 counts, for k > 258; and beyond i32 for none of these.
TEST(ByteProduct, of_extremes_is_exact) {
  std::mt19937 engine(3);
  for (const bool is_signed : {false, true})
    for (const std::int64_t k : {255, 256, 257, 259, 2049}) {
      const auto a = bytes(engine, is_signed, true, 40 * (k + 3), 1), b = bytes(engine, is_signed, true, k * 71, 1);
      expect_sums(dense(40, 70, k), a, b);
    }
}

TEST(ByteProduct, wraps_as_i32) {
  std::mt19937 engine(3);
  const auto a = bytes(engine, false, true, 2 * 40003, 0), b = bytes(engine, false, true, 40000 * 4, 0);
  expect_sums(dense(2, 3, 40000), a, b);
}

TEST(ByteProduct, batches_broadcast) {
  std::mt19937 engine(3);
  Product p = dense(5, 9, 11);
  p.batch = {2, 3};
  p.a.batch_strides = {70, 0};
  p.b.batch_strides = {0, 110};
  p.c.batch_strides = {3 * 55, 55};
  expect_sums(p, bytes(engine, true, false, 140, 5), bytes(engine, false, false, 330, 9));
  p.batch = {0, 3};
  expect_sums(p, bytes(engine, true, false, 140, 5), bytes(engine, false, false, 330, 9));
}

}  // namespace
}  // namespace tessera
