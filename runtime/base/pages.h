#pragma once
// Memory for large blocks. Thread-safe.
#include <cstddef>

namespace tessera {

struct Pages {
  void* data;  // null: there is not that much. Free with std::free.
  std::size_t bytes;
};

inline constexpr std::size_t huge_page = std::size_t{2} << 20;

// At least `bytes`, in whole multiples of `alignment` (a power of two), or of huge pages from 2 MB on: a page fault
// costs as much for 2 MB as for 4 kB, and the CPU keeps fewer addresses. Contents are undefined.
Pages allocate_pages(std::size_t bytes, std::size_t alignment);

}  // namespace tessera
