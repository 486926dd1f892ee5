// The strided copy against the plainest loop, on layouts that take each of its ways: runs, tiles, blocks, broadcasts.
#include "ops/strided_copy.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "runtime/tensor/tensor.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

// Bytes of a tensor of `dims`, every element another while they last.
Tensor counted(DType dtype, const Shape& dims) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(count(dims)));
  std::iota(values.begin(), values.end(), 0);
  return converted(Tensor::of<std::int64_t>(dims, values), dtype);
}

Tensor expected_copy(const Tensor& x, const Shape& dims, std::int64_t first, const Shape& strides) {
  Tensor y(x.dtype(), dims);
  const std::size_t width = size_of(x.dtype());
  for (std::int64_t i = 0; i < y.size(); ++i) {
    std::int64_t from = first, rest = i;
    for (std::size_t a = dims.size(); a-- > 0;) {
      from += rest % dims[a] * strides[a];
      rest /= dims[a];
    }
    std::memcpy(static_cast<std::byte*>(y.raw()) + static_cast<std::size_t>(i) * width,
                static_cast<const std::byte*>(x.raw()) + static_cast<std::size_t>(from) * width, width);
  }
  return y;
}

Tensor copied(const Tensor& x, const Shape& dims, std::int64_t first, const Shape& strides) {
  Tensor y = Tensor::zeros(x.dtype(), dims);
  const auto* from = static_cast<const std::byte*>(x.raw()) + first * static_cast<std::int64_t>(size_of(x.dtype()));
  strided_copy(x.dtype(), dims, from, strides, y.raw(), row_major_strides(dims));
  return y;
}

const DType widths[] = {DType::u8, DType::i16, DType::f32, DType::i64};

TEST(StridedCopy, permutes_any_shape) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const std::size_t rank = 1 + random() % 5;
    Shape shape, perm;
    for (std::size_t a = 0; a < rank; ++a) {
      shape.push_back(1 + static_cast<std::int64_t>(random() % (rank > 3 ? 9 : 70)));
      perm.push_back(static_cast<std::int64_t>(a));
    }
    std::shuffle(perm.begin(), perm.end(), random);
    const Shape dense = row_major_strides(shape);
    Shape dims, strides;
    for (const auto a : perm) {
      dims.push_back(shape[static_cast<std::size_t>(a)]);
      strides.push_back(dense[static_cast<std::size_t>(a)]);
    }
    for (const DType t : widths) {
      const Tensor x = counted(t, shape);
      EXPECT_TRUE(same_bits(copied(x, dims, 0, strides), expected_copy(x, dims, 0, strides)))
          << shape << " by " << perm;
    }
  }
}

TEST(StridedCopy, steps_reverses_and_broadcasts) {
  struct Case {
    Shape dims;
    std::int64_t first;
    Shape strides;
  };
  const Case cases[] = {{{50, 30}, 1, {60, 2}},      {{3000}, 2999, {-1}},      {{7, 11, 5}, 3, {0, 9, 1}},
                        {{7, 11, 5}, 0, {1, 0, 0}},  {{100, 3}, 0, {4, 1}},     {{100, 4}, 2, {8, 1}},
                        {{40, 40}, 1599, {-1, -40}}, {{4, 0, 3}, 0, {1, 1, 1}}, {{}, 5, {}}};
  for (const auto& c : cases)
    for (const DType t : widths) {
      const Tensor x = counted(t, {4000});
      EXPECT_TRUE(same_bits(copied(x, c.dims, c.first, c.strides), expected_copy(x, c.dims, c.first, c.strides)))
          << c.dims << " of " << t;
    }
}

TEST(StridedCopy, is_the_same_for_any_number_of_threads) {
  const Tensor x = counted(DType::f32, {300, 7, 301});
  for (const Shape& strides : {Shape{1, 301, 2107}, Shape{301, 2107, 1}}) {
    const Shape dims = strides[0] == 1 ? Shape{301, 7, 300} : Shape{7, 300, 301};
    Tensor one, many;
    with_threads(1, [&] { one = copied(x, dims, 0, strides); });
    with_threads(8, [&] { many = copied(x, dims, 0, strides); });
    EXPECT_TRUE(same_bits(one, many));
    EXPECT_TRUE(same_bits(one, expected_copy(x, dims, 0, strides)));
  }
}

}  // namespace
}  // namespace tessera
