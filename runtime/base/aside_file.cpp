#include "runtime/base/aside_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime/base/error.h"

namespace tessera {
namespace {

// The permissions a new file would get. (umask can only be read by setting it, which other threads would notice.)
mode_t permissions_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0644;
}

}  // namespace

AsideFile::AsideFile(std::string path) : path_(std::move(path)) {
  struct stat info {};
  if (::stat(path_.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {  // a device, a pipe: nothing to rename
    file_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ < 0) fail("open", errno);
    return;
  }
  std::string name = path_ + ".tmpXXXXXX";
  file_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (file_ < 0) fail("create", errno);
  temporary_ = std::move(name);
  ::fchmod(file_, permissions_of(path_));
}

AsideFile::~AsideFile() {
  if (file_ >= 0) ::close(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AsideFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto done = ::write(file_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    size_ += static_cast<std::size_t>(done);
  }
}

void AsideFile::pad_to(std::size_t alignment) {
  const std::vector<std::byte> zeros((alignment - size_ % alignment) % alignment);
  write(zeros);
}

void AsideFile::finish() {
  if (file_ < 0) return;
  const int closed = ::close(file_);
  const int cause = errno;
  file_ = -1;
  if (closed != 0) fail("write", cause);
}

void AsideFile::commit() {
  finish();
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("replace", errno);
  temporary_.clear();
}

void AsideFile::fail(const char* what, int cause) const {
  throw Error(Code::run_time, concat("cannot ", what, " '", path_, "': ", std::strerror(cause)));
}

}  // namespace tessera
