#pragma once
// A file written beside its destination and renamed when complete, so that a failure leaves what was there. A
// device or pipe is written directly.
#include <span>
#include <string>

namespace tessera {

// Thread rule: one thread. Errors of all members: run_time naming the destination and the cause (no space, no folder).
class AsideFile {
 public:
  explicit AsideFile(std::string path);  // creates the temporary file, in the same folder
  ~AsideFile();                          // without `commit`, removes it
  AsideFile(const AsideFile&) = delete;
  AsideFile& operator=(const AsideFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(const std::string& text) { write(std::as_bytes(std::span(text))); }
  void pad_to(std::size_t alignment);  // zeros up to the next multiple
  std::size_t size() const { return size_; }
  // Closes the file: all is written; it still bears its temporary name.
  void finish();
  // Finishes and renames. Replaces what was there.
  void commit();

 private:
  std::string path_, temporary_;
  int file_ = -1, slot_ = -1;  // slot_: where unlink_aside_files finds the name
  std::size_t size_ = 0;
};

// Removes the temporary files of all AsideFiles that are open, for a handler of signals that end the process: it is
// safe there, whatever the threads do.
void unlink_aside_files() noexcept;

// Refuses now what an AsideFile of `path` would refuse when it is opened. Leaves nothing behind.
void check_can_write(const std::string& path);

}  // namespace tessera
