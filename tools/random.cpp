#include "tools/random.h"

#include "runtime/op/parallel.h"

namespace tessera {
namespace {

constexpr std::uint64_t step = 0x9e3779b97f4a7c15;
constexpr std::int64_t grain = 1 << 16;

constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// The high half of a 64 x 64 bit product.
constexpr std::uint64_t high_product(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t al = a & 0xffffffff, ah = a >> 32, bl = b & 0xffffffff, bh = b >> 32;
  const std::uint64_t middle = ah * bl + (al * bl >> 32), other = al * bh + (middle & 0xffffffff);
  return ah * bh + (middle >> 32) + (other >> 32);
}

template <class F>
Tensor filled(DType dtype, const Shape& shape, F&& fill) {
  Tensor t(DType::f32, shape);
  fill(t.write<float>());
  return converted(t, dtype);
}

void expect_float(DType dtype, const char* kind) {
  check(dtypes::floats.has(dtype), "random:", kind, " gives floats, this takes ", dtype, "; use random:range:LO,HI");
}

// Rounding keeps the order: when both ends of a range are exact, all that is between them stays there.
bool holds(DType dtype, std::int64_t n) {
  Tensor t(DType::i64, {1});
  t.write<std::int64_t>()[0] = n;
  return converted(converted(t, dtype), DType::f64).read<double>()[0] == static_cast<double>(n);
}

}  // namespace

void fill_uniform(std::span<float> to, std::uint64_t seed, std::uint64_t first) {
  const std::uint64_t key = mix(seed + step);
  run_parallel(static_cast<std::int64_t>(to.size()), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint64_t n = first + static_cast<std::uint64_t>(i);
      to[static_cast<std::size_t>(i)] = static_cast<float>(mix(key + n * step) >> 40) * 0x1p-24f;
    }
  });
}

void fill_normal(std::span<float> to, std::uint64_t seed, std::uint64_t first) {
  const std::uint64_t key = mix(seed + step);
  const auto parts = [](std::uint64_t w) { return (w & 0xffff) + (w >> 16 & 0xffff) + (w >> 32 & 0xffff) + (w >> 48); };
  run_parallel(static_cast<std::int64_t>(to.size()), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint64_t at = key + 3 * (first + static_cast<std::uint64_t>(i)) * step;
      const std::uint64_t sum = parts(mix(at)) + parts(mix(at + step)) + parts(mix(at + 2 * step));
      to[static_cast<std::size_t>(i)] = static_cast<float>(static_cast<std::int64_t>(sum) - 393210) * 0x1p-16f;
    }
  });
}

Tensor random_uniform(DType dtype, const Shape& shape, std::uint64_t seed) {
  expect_float(dtype, "uniform");
  return filled(dtype, shape, [&](std::span<float> to) { fill_uniform(to, seed); });
}

Tensor random_normal(DType dtype, const Shape& shape, std::uint64_t seed) {
  expect_float(dtype, "normal");
  return filled(dtype, shape, [&](std::span<float> to) { fill_normal(to, seed); });
}

Tensor random_integers(DType dtype, const Shape& shape, std::int64_t low, std::int64_t high, std::uint64_t seed) {
  check(low < high, "the range ", low, ",", high, " is empty (it is LO <= x < HI)");
  for (const std::int64_t end : {low, high - 1})
    check(holds(dtype, end), "the range ", low, ",", high, " is not one of ", dtype, ", which does not have ", end);
  Tensor t(DType::i64, shape);
  const auto to = t.write<std::int64_t>();
  const std::uint64_t key = mix(seed + step),
                      width = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  for (std::size_t i = 0; i < to.size(); ++i)
    to[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + high_product(mix(key + i * step), width));
  return converted(t, dtype);
}

}  // namespace tessera
