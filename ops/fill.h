#pragma once
// One value many times: constants, padding, gradients that start from zero.
#include <algorithm>
#include <cstring>

#include "runtime/op/builder.h"
#include "runtime/op/parallel.h"

namespace tessera {

// n elements of `to` become the element at `value`.
inline void fill(DType dtype, void* to, std::int64_t n, const void* value) {
  with_width(dtype, [&]<class U>(Type<U>) {
    U v;
    std::memcpy(&v, value, sizeof(U));
    U* out = static_cast<U*>(to);
    constexpr std::int64_t grain = (128 << 10) / sizeof(U);
    run_parallel(n, grain, [=](std::int64_t begin, std::int64_t end) { std::fill(out + begin, out + end, v); });
  });
}

// The bytes of one tensor into another of the same size, in parallel; nothing where they are the same memory.
inline void copy_elements(const Tensor& from, Tensor& to) {
  if (from.raw() == to.raw()) return;
  const auto* f = static_cast<const std::byte*>(from.raw());
  auto* t = static_cast<std::byte*>(to.raw());
  run_parallel(static_cast<std::int64_t>(from.bytes()), 256 << 10, [=](std::int64_t begin, std::int64_t end) {
    std::memcpy(t + begin, f + begin, static_cast<std::size_t>(end - begin));
  });
}

// A value of zeros, made during the run.
inline ValueId zeros(NodeBuilder& b, DType dtype, const Shape& shape) {
  return b.node("ConstantOfShape", {b.ints(shape)}, {{"value", Tensor::zeros(dtype, {1})}});
}
inline ValueId zeros_like(NodeBuilder& b, ValueId v) { return zeros(b, b.dtype(v), *b.shape(v)); }

}  // namespace tessera
