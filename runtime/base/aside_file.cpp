#include "runtime/base/aside_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <climits>
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

// Names of temporary files where a handler of signals can read them. It finds no more than there are slots.
struct Slot {
  std::atomic<bool> taken, named;
  char name[PATH_MAX];
};
Slot slots[16];
static_assert(std::atomic<bool>::is_always_lock_free);

// Where `name` went; -1: nowhere.
int remember(const std::string& name) {
  if (name.size() >= PATH_MAX) return -1;
  for (Slot& s : slots) {
    if (s.taken.exchange(true)) continue;
    std::memcpy(s.name, name.c_str(), name.size() + 1);
    s.named = true;
    return static_cast<int>(&s - slots);
  }
  return -1;
}

void forget(int slot) {
  if (slot < 0) return;
  slots[slot].named = false;
  slots[slot].taken = false;
}

}  // namespace

void unlink_aside_files() noexcept {
  for (const Slot& s : slots)
    if (s.named) ::unlink(s.name);
}

AsideFile::AsideFile(std::string path) : path_(std::move(path)) {
  struct stat old {};
  const bool exists = ::stat(path_.c_str(), &old) == 0;
  if (exists && !S_ISREG(old.st_mode)) {  // a device, a pipe: nothing to rename
    file_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ < 0) fail("open", path_, errno);
    return;
  }
  // The folder alone decides what a rename may replace.
  if (exists && ::access(path_.c_str(), W_OK) != 0) fail("open", path_, errno);
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
  slot_ = remember(temporary_);
  if (exists) ::fchmod(file_, mode);
}

AsideFile::~AsideFile() {
  if (file_ >= 0) ::close(file_);
  if (temporary_.empty()) return;
  ::unlink(temporary_.c_str());
  forget(slot_);
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
  forget(slot_);
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
