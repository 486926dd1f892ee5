#include "runtime/base/aside_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "runtime/base/error.h"

namespace tessera {
namespace {

[[noreturn]] void fail(const char* what, const std::string& path, int cause) {
  throw Error(Code::run_time, concat("cannot ", what, " '", path, "': ", std::strerror(cause)));
}

}  // namespace

AsideFile::AsideFile(std::string path) : path_(std::move(path)) {
  struct stat old {};
  const bool exists = ::stat(path_.c_str(), &old) == 0;
  if (exists && !S_ISREG(old.st_mode)) {  // a device, a pipe: nothing to rename
    file_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ < 0) fail("open", path_, errno);
    return;
  }
  // What a link leads to is written, not a file in place of the link.
  std::error_code failed;
  if (const auto real = std::filesystem::canonical(path_, failed); exists && !failed) path_ = real.string();
  // Not by mkstemp, which makes private files: a new one is to have what the umask leaves.
  const mode_t mode = exists ? old.st_mode & 07777 : 0666;
  for (int n = 0; file_ < 0; ++n) {
    temporary_ = concat(path_, ".tmp", ::getpid(), "-", n);
    file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file_ < 0 && errno != EEXIST) fail("create", path_, errno);
  }
  if (exists) ::fchmod(file_, mode);
}

AsideFile::~AsideFile() {
  if (file_ >= 0) ::close(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AsideFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto done = ::write(file_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("write", path_, errno);
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
  if (closed != 0) fail("write", path_, cause);
}

void AsideFile::commit() {
  finish();
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("replace", path_, errno);
  temporary_.clear();
}

void check_can_write(const std::string& path) {
  struct stat info {};
  const bool special = ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
  if (!special)
    AsideFile{path};
  else if (::access(path.c_str(), W_OK) != 0)  // not opened: a pipe waits for its reader
    fail("open", path, errno);
}

}  // namespace tessera
