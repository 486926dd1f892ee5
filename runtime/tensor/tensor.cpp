#include "runtime/tensor/tensor.h"

#include <cstddef>
#include <cstdlib>

#include "runtime/base/pages.h"
#include "runtime/tensor/convert.h"

namespace tessera {
namespace {

// 64-byte aligned. Small blocks come from malloc, which has those at hand that were freed last, as aligned_alloc has
// not: it costs a fifth of a run of one node.
std::shared_ptr<void> allocate(std::size_t bytes) {
  constexpr std::size_t alignment = 64, small = 4096, slack = alignment - alignof(std::max_align_t);
  void* block = bytes <= small ? std::malloc(bytes + slack) : allocate_pages(bytes, alignment).data;
  check(block != nullptr, Code::run_time, "out of memory: a tensor of ", bytes, " bytes");
  std::shared_ptr<void> owner(block, std::free);
  std::size_t space = bytes + slack;
  return {std::move(owner), bytes <= small ? std::align(alignment, bytes, block, space) : block};
}

}  // namespace

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  check(size_of(dtype) > 0, Code::unsupported, "tensors of type ", dtype, " cannot be executed");
  size_ = element_count(shape_);
  auto block = allocate(bytes());
  data_ = block.get();
  owner_ = std::move(block);
}

Tensor Tensor::alias(DType dtype, Shape shape, const void* data, std::shared_ptr<const void> owner) {
  Tensor t;
  t.dtype_ = dtype;
  t.size_ = element_count(shape);
  t.shape_ = std::move(shape);
  t.data_ = const_cast<void*>(data);
  t.owner_ = std::move(owner);
  return t;
}

Tensor Tensor::borrow(DType dtype, Shape shape, void* data) { return alias(dtype, std::move(shape), data, nullptr); }

Tensor Tensor::scalar(DType dtype, double value) { return converted(Tensor::scalar<double>(value), dtype); }

Tensor Tensor::zeros(DType dtype, Shape shape) {
  Tensor t(dtype, std::move(shape));
  if (t.bytes() > 0) std::memset(t.raw(), 0, t.bytes());
  return t;
}

Tensor Tensor::reshaped(Shape shape) const {
  check(element_count(shape) == size_, "cannot view ", shape_, " as ", shape);
  return alias(dtype_, std::move(shape), data_, owner_);
}

void Tensor::wrong_type(DType asked) const {
  throw Error(Code::internal, concat("a tensor of ", dtype_, " was read as ", asked));
}

Shape integers(const Tensor& t) {
  check(t.rank() <= 1, "expected a list of integers, got shape ", t.shape());
  if (t.dtype() == DType::i64) return Shape(t.read<std::int64_t>());
  check(t.dtype() == DType::i32, "expected i64 values, got ", t.dtype());
  const auto values = t.read<std::int32_t>();
  return Shape(values.begin(), values.end());
}

std::vector<double> doubles(const Tensor& t) {
  std::vector<double> out;
  out.reserve(static_cast<std::size_t>(t.size()));
  with_type(AllTypes{}, t.dtype(), [&]<class T>(Type<T>) {
    for (const T x : t.read<T>()) out.push_back(static_cast<double>(static_cast<Compute<T>>(x)));
  });
  return out;
}

Tensor converted(const Tensor& t, DType to) {
  if (t.dtype() == to) return t;
  Tensor out(to, t.shape());
  with_type(AllTypes{}, t.dtype(), [&]<class From>(Type<From>) {
    with_type(AllTypes{}, to, [&]<class To>(Type<To>) {
      const auto x = t.read<From>();
      const auto y = out.write<To>();
      for (std::size_t i = 0; i < x.size(); ++i) y[i] = convert<To>(x[i]);
    });
  });
  return out;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

}  // namespace tessera
