// Files that the runner writes: permissions, and targets that cannot be written.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/tensor/text.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"
#include "tools/tensor_files.h"

namespace tessera {
namespace {

unsigned permissions(const std::string& path) {
  return static_cast<unsigned>(std::filesystem::status(path).permissions());
}

TEST(OutputFiles, have_what_the_umask_leaves_or_what_they_had) {
  const ScratchFolder folder;
  const std::string fresh = folder / "fresh.npy", open = folder / "open.npy", old = folder.write("old.npy", "");
  const Tensor x = tensor_from_text("{1}");
  ::chmod(old.c_str(), 0640);
  const auto mask = ::umask(077);
  write_tensor(fresh, "", x);
  write_tensor(old, "", x);
  ::umask(002);
  write_tensor(open, "", x);
  ::umask(mask);
  EXPECT_EQ(permissions(fresh), 0600u);
  EXPECT_EQ(permissions(open), 0664u);
  EXPECT_EQ(permissions(old), 0640u);
}

}  // namespace
}  // namespace tessera
