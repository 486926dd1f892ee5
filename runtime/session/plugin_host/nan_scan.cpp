#include "runtime/session/plugin_host/nan_scan.h"

#include <algorithm>
#include <atomic>

#include "runtime/op/parallel.h"

namespace tessera {
namespace {

constexpr std::int64_t scan_grain = 1 << 16;

// Infinity of each floating type as bits without the sign; what is above is NaN.
template <class U>
bool any_above(const U* bits, std::int64_t n, U mask, U limit) {
  std::atomic<bool> found = false;
  run_parallel(n, scan_grain, [&](std::int64_t begin, std::int64_t end) {
    bool any = false;
    for (auto i = begin; i < end; ++i) any |= (bits[i] & mask) > limit;
    if (any) found.store(true, std::memory_order_relaxed);
  });
  return found.load(std::memory_order_relaxed);
}

template <class U>
bool any_above(const ScannedView& v, const U* bits, U mask, U limit) {
  std::atomic<bool> found = false;
  run_parallel(v.batch * v.heads * v.rows, std::max<std::int64_t>(1, scan_grain / std::max<std::int64_t>(1, v.dim)),
               [&](std::int64_t begin, std::int64_t end) {
                 bool any = false;
                 for (auto r = begin; r < end; ++r) {
                   const U* row = bits + r / v.rows / v.heads * v.batch_stride + r / v.rows % v.heads * v.head_stride +
                                  r % v.rows * v.row_stride;
                   for (std::int64_t i = 0; i < v.dim; ++i) any |= (row[i] & mask) > limit;
                 }
                 if (any) found.store(true, std::memory_order_relaxed);
               });
  return found.load(std::memory_order_relaxed);
}

template <class F>
bool with_bits(DType dtype, const void* data, F f) {
  switch (dtype) {
    case DType::f32:
      return f(static_cast<const std::uint32_t*>(data), 0x7fffffffu, 0x7f800000u);
    case DType::f64:
      return f(static_cast<const std::uint64_t*>(data), std::uint64_t{0x7fffffffffffffff},
               std::uint64_t{0x7ff0000000000000});
    case DType::f16:
      return f(static_cast<const std::uint16_t*>(data), std::uint16_t{0x7fff}, std::uint16_t{0x7c00});
    case DType::bf16:
      return f(static_cast<const std::uint16_t*>(data), std::uint16_t{0x7fff}, std::uint16_t{0x7f80});
    default:
      return false;
  }
}

}  // namespace

bool has_nan(const Tensor& t) {
  return with_bits(t.dtype(), t.raw(), [&]<class U>(const U* bits, U mask, U infinity) {
    return any_above(bits, t.size(), mask, infinity);
  });
}

bool all_finite(const Tensor& t) {
  return !with_bits(t.dtype(), t.raw(), [&]<class U>(const U* bits, U mask, U infinity) {
    return any_above(bits, t.size(), mask, static_cast<U>(infinity - 1));
  });
}

bool has_nan(const ScannedView& v) {
  return with_bits(v.dtype, v.data,
                   [&]<class U>(const U* bits, U mask, U infinity) { return any_above(v, bits, mask, infinity); });
}

bool all_finite(const ScannedView& v) {
  return !with_bits(v.dtype, v.data, [&]<class U>(const U* bits, U mask, U infinity) {
    return any_above(v, bits, mask, static_cast<U>(infinity - 1));
  });
}

std::int64_t first_nan(const Tensor& t) {
  std::int64_t first = -1;
  with_bits(t.dtype(), t.raw(), [&]<class U>(const U* bits, U mask, U infinity) {
    for (std::int64_t i = 0; i < t.size() && first < 0; ++i)
      if ((bits[i] & mask) > infinity) first = i;
    return true;
  });
  return first;
}

}  // namespace tessera
