#pragma once
// Working memory of a kernel, kept between calls: page faults cost more than kernels. Up to 16 MB stay with each
// thread, and up to 512 MB of blocks of 2 MB and more with the process.
#include <cstddef>
#include <cstdint>
#include <span>

namespace tessera {

// A block of `count` elements of T, 64-byte aligned, not initialised, on loan from the calling thread until destroyed.
// Must be destroyed on the thread that made it, innermost first. T is trivially destructible.
class ScratchBlock {
 public:
  explicit ScratchBlock(std::size_t bytes);
  ~ScratchBlock();
  ScratchBlock(const ScratchBlock&) = delete;
  ScratchBlock& operator=(const ScratchBlock&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
  std::size_t bytes_;
};

template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t count)
      : block_(static_cast<std::size_t>(count) * sizeof(T)), count_(static_cast<std::size_t>(count)) {}
  T* data() const { return static_cast<T*>(block_.data()); }
  T& operator[](std::int64_t i) const { return data()[i]; }
  std::span<T> span() const { return {data(), count_}; }

 private:
  ScratchBlock block_;
  std::size_t count_;
};

}  // namespace tessera
