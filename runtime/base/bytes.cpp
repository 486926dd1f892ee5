#include "runtime/base/bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "runtime/base/error.h"

namespace tessera {

Bytes Bytes::map(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block
  check(fd >= 0, "cannot open '", path, "': ", std::strerror(errno));
  struct stat info {};
  const bool known = ::fstat(fd, &info) == 0;
  const bool regular = known && S_ISREG(info.st_mode);
  const auto size = regular ? static_cast<std::size_t>(info.st_size) : 0;
  void* at = size > 0 ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0) : nullptr;
  const int cause = errno;
  ::close(fd);
  check(regular, "'", path, "' is not a regular file");
  check(at != MAP_FAILED, "cannot map '", path, "': ", std::strerror(cause));
  Bytes bytes;
  bytes.data_ = static_cast<const std::byte*>(at);
  bytes.size_ = size;
  if (at)
    bytes.owner_ = std::shared_ptr<const void>(at, [size](const void* p) { ::munmap(const_cast<void*>(p), size); });
  return bytes;
}

void release_pages(std::span<const std::byte> mapped) {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(mapped.data()), end = begin + mapped.size();
  const std::uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  if (first < last) ::madvise(const_cast<std::byte*>(mapped.data()) + (first - begin), last - first, MADV_DONTNEED);
}

}  // namespace tessera
