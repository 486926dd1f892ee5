#pragma once
// A read-only file mapped into memory. The mapping lives as long as any copy of `owner()`.
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace tessera {

class Bytes {
 public:
  Bytes() = default;
  // Maps the whole regular file. Errors: bad_input, naming the path, when it cannot be opened, is no regular file or
  // cannot be mapped. An empty file gives an empty span. Cost: O(1), pages are read when touched.
  static Bytes map(const std::string& path);

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<const std::byte> span() const { return {data_, size_}; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::shared_ptr<const void> owner_;
};

// Takes the whole pages of a mapped range out of memory until they are touched again. Only advice.
void release_pages(std::span<const std::byte> mapped);

}  // namespace tessera
