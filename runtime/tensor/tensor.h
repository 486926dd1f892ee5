#pragma once
// A tensor: element type, shape and the address of dense row-major elements, outermost dim first. A kernel sees one
// span and no strides. Copying a Tensor shares the elements.
//
// Ownership: the elements live as long as any Tensor that shares their owner; `borrow` has no owner and the caller
// keeps them alive. Thread rule: distinct Tensors sharing elements may be read concurrently; writing needs exclusive
// use.
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "runtime/tensor/dtype.h"
#include "runtime/tensor/shape.h"

namespace [[gnu::visibility("default")]] tessera {

class Tensor {
 public:
  Tensor() = default;
  // Fresh elements, not initialised, 64-byte aligned and padded to a multiple of 64 bytes. Blocks of 2 MiB and more are
  // advised to use huge pages. Errors: unsupported for types that cannot be executed; bad_input for a shape too large;
  // run_time when memory is exhausted.
  Tensor(DType dtype, Shape shape);
  // Elements that belong to `owner` (a mapped file, an arena, another tensor).
  static Tensor alias(DType dtype, Shape shape, const void* data, std::shared_ptr<const void> owner);
  // Elements that the caller keeps alive.
  static Tensor borrow(DType dtype, Shape shape, void* data);
  template <class T>
  static Tensor of(Shape shape, std::span<const T> values) {
    Tensor t(dtype_of<T>, std::move(shape));
    check(static_cast<std::size_t>(t.size()) == values.size(), Code::internal, "Tensor::of: wrong number of values");
    if (!values.empty()) std::memcpy(t.raw(), values.data(), values.size_bytes());
    return t;
  }
  template <class T>
  static Tensor vector(std::span<const T> values) {
    return of<T>(Shape{static_cast<std::int64_t>(values.size())}, values);
  }
  static Tensor vector(std::initializer_list<std::int64_t> values) {
    return vector<std::int64_t>(std::span(values.begin(), values.size()));
  }
  template <class T>
  static Tensor scalar(T value) {
    return of<T>({}, std::span<const T>(&value, 1));
  }
  // A scalar of any executable type, converted from f64.
  static Tensor scalar(DType dtype, double value);
  static Tensor zeros(DType dtype, Shape shape);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int axis) const { return shape_[static_cast<std::size_t>(axis)]; }
  int rank() const { return shape_.rank(); }
  std::int64_t size() const { return size_; }  // elements
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * size_of(dtype_); }
  explicit operator bool() const { return dtype_ != DType::undefined; }
  void* raw() const { return data_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

  // The same elements under another shape of equal size.
  Tensor reshaped(Shape shape) const;
  // Points a borrowed or placed tensor at other elements of the same type and shape.
  void point_to(void* data, std::shared_ptr<const void> owner = nullptr) {
    data_ = data;
    owner_ = std::move(owner);
  }

  template <class T>
  std::span<const T> read() const {
    expect(dtype_of<T>);
    return {static_cast<const T*>(data_), static_cast<std::size_t>(size_)};
  }
  template <class T>
  std::span<T> write() {
    expect(dtype_of<T>);
    return {static_cast<T*>(data_), static_cast<std::size_t>(size_)};
  }

 private:
  void expect(DType t) const {
    if (t != dtype_) [[unlikely]]
      wrong_type(t);
  }
  [[noreturn]] void wrong_type(DType asked) const;

  DType dtype_ = DType::undefined;
  Shape shape_;
  std::int64_t size_ = 0;
  void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
};

// The values of an i64 or i32 tensor as i64, for shapes, axes and indices. Error(bad_input) for other types.
Shape integers(const Tensor& t);
// Every element converted to f64 (bool as 0 and 1), for text, comparison and tests.
std::vector<double> doubles(const Tensor& t);
// Elements converted as C++ does after clamping floats to the range of the target; NaN becomes 0 for integers.
Tensor converted(const Tensor& t, DType to);
// Same type, shape and bits.
bool same_bits(const Tensor& a, const Tensor& b);

}  // namespace tessera
