#pragma once
// Concrete shapes and the arithmetic of axes and broadcasting (ONNX "Broadcasting", numpy rules).
#include <cstdint>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/error.h"
#include "runtime/base/inline_vector.h"

namespace [[gnu::visibility("default")]] tessera {

// Dims of a tensor, outermost first. Rank 0 is a scalar. Up to 8 dims are kept in place; any rank is allowed.
class Shape : public InlineVector<std::int64_t, 8> {
 public:
  using InlineVector::InlineVector;
  explicit Shape(std::span<const std::int64_t> dims) : InlineVector(dims.begin(), dims.end()) {}
  int rank() const { return static_cast<int>(size()); }
};
using Axes = InlineVector<std::int64_t, 8>;

// "[2x3]"; a scalar is "[]".
std::ostream& operator<<(std::ostream& o, const Shape& s);

// Product of dims. Error(bad_input) on a negative dim, or when the product, zeros apart, exceeds 2^47: no process can
// address as many bytes, and sizes in bytes stay far from overflow.
std::int64_t element_count(std::span<const std::int64_t> dims);

// Product of dims without checks, for shapes known to be good.
inline std::int64_t count(std::span<const std::int64_t> dims) {
  std::int64_t n = 1;
  for (const auto d : dims) n *= d;
  return n;
}

// Elements to step over per index of each axis of a dense row-major tensor.
Shape row_major_strides(const Shape& shape);

// axis in [-rank, rank) -> [0, rank). Error(bad_input) outside. `what` names the attribute in the message.
int normal_axis(std::int64_t axis, int rank, std::string_view what = "axis");
// The same for a list, sorted or not, in the given order; Error(bad_input) on repeats.
Axes normal_axes(std::span<const std::int64_t> axes, int rank);

// The common shape of both, or Error(bad_input) when two dims differ and neither is 1.
Shape broadcast(const Shape& a, const Shape& b);
bool broadcasts_to(const Shape& from, const Shape& to);
// Strides with which `from` is read at the indices of `to`: 0 on broadcast axes. Requires broadcasts_to(from, to).
Shape broadcast_strides(const Shape& from, const Shape& to);

}  // namespace tessera
