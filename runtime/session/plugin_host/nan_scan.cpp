#include "runtime/session/plugin_host/nan_scan.h"

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

template <class F>
bool with_bits(const Tensor& t, F f) {
  switch (t.dtype()) {
    case DType::f32:
      return f(static_cast<const std::uint32_t*>(t.raw()), 0x7fffffffu, 0x7f800000u);
    case DType::f64:
      return f(static_cast<const std::uint64_t*>(t.raw()), std::uint64_t{0x7fffffffffffffff},
               std::uint64_t{0x7ff0000000000000});
    case DType::f16:
      return f(static_cast<const std::uint16_t*>(t.raw()), std::uint16_t{0x7fff}, std::uint16_t{0x7c00});
    case DType::bf16:
      return f(static_cast<const std::uint16_t*>(t.raw()), std::uint16_t{0x7fff}, std::uint16_t{0x7f80});
    default:
      return false;
  }
}

}  // namespace

bool has_nan(const Tensor& t) {
  return with_bits(
      t, [&]<class U>(const U* bits, U mask, U infinity) { return any_above(bits, t.size(), mask, infinity); });
}

bool all_finite(const Tensor& t) {
  return !with_bits(t, [&]<class U>(const U* bits, U mask, U infinity) {
    return any_above(bits, t.size(), mask, static_cast<U>(infinity - 1));
  });
}

std::int64_t first_nan(const Tensor& t) {
  std::int64_t first = -1;
  with_bits(t, [&]<class U>(const U* bits, U mask, U infinity) {
    for (std::int64_t i = 0; i < t.size() && first < 0; ++i)
      if ((bits[i] & mask) > infinity) first = i;
    return true;
  });
  return first;
}

}  // namespace tessera
