#include "runtime/base/pages.h"

#include <sys/mman.h>
#include <algorithm>
#include <cstdlib>

namespace tessera {

Pages allocate_pages(std::size_t bytes, std::size_t alignment) {
  if (bytes >= huge_page) alignment = huge_page;
  const std::size_t whole = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* data = whole >= bytes ? std::aligned_alloc(alignment, whole) : nullptr;
  if (data && alignment == huge_page) ::madvise(data, whole, MADV_HUGEPAGE);  // only advice: failing changes nothing
  return {data, whole};
}

}  // namespace tessera
