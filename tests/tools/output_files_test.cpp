// Files that the runner writes: permissions, and targets that cannot be written.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <thread>

#include "runtime/base/aside_file.h"
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

TEST(OutputFiles, are_what_a_link_leads_to) {
  const ScratchFolder folder;
  const std::string real = folder.write("real.npy", ""), link = folder / "link.npy";
  std::filesystem::create_symlink(real, link);
  write_tensor(link, "", tensor_from_text("{1}"));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_GT(std::filesystem::file_size(real), 0u);
}

// Something else would stop each of them once it has begun to work.
TEST(OutputFiles, that_cannot_be_written_are_refused_before_the_work) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "folder.npz");
  std::filesystem::create_directory_symlink("/nowhere", folder / "gone");
  const std::string model = source_path("tests/data/models/classifier.textproto"), file = folder / "no/x.";
  const std::vector<std::string> run = {"run", model, "--input", "image=zeros", "--deadline", "1e-9"};
  const auto with = [](std::vector<std::string> arguments, const std::vector<std::string>& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const std::vector<std::string> cases[] = {
      with(run, {"--output", "logits=" + file + "npy"}),
      with(run, {"--save", file + "npz"}),
      with(run, {"--save", folder / "folder.npz"}),
      with(run, {"--trace", file + "json"}),
      with(run, {"--trace", (folder / "gone") + "/t.json"}),
      with(run, {"--dump-node", "logits=" + file + "npy"}),
      with(run, {"--steps", "2", "--collect", "logits=" + file + "npy"}),
      {"verify", "nowhere", "--save", file + "npz"},
      {"inspect", "nowhere.onnx", "--after", "fold", "--save-model", file + "onnx"},
      {"compare", "nowhere.onnx", "--policy", "nowhere.yaml", "--plot", file + "svg"},
      {"explain", "nowhere.onnx", "--policy", "nowhere.yaml", "--mask", "site", "-o", file + "png"},
      {"explain", "nowhere.onnx", "--policy", "nowhere.yaml", "--lock", file + "json"},
  };
  for (const auto& arguments : cases) {
    const Ran r = tessera_cli(arguments);
    const std::string path = arguments.back().substr(arguments.back().find('=') + 1);
    EXPECT_EQ(r.code, 6) << path << r.err;
    EXPECT_NE(r.err.find("'" + path + "': "), std::string::npos) << r.err;
    EXPECT_EQ(r.err.find("deadline"), std::string::npos) << r.err;
    EXPECT_EQ(r.err.find("in model"), std::string::npos) << "a path is none of the model's faults" << r.err;
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2) << "trials leave nothing";
}

TEST(OutputFiles, that_are_write_protected_stay) {
  const ScratchFolder folder;
  const std::string kept = folder.write("kept.npy", "precious");
  ::chmod(kept.c_str(), 0400);
  if (::access(kept.c_str(), W_OK) == 0) GTEST_SKIP() << "this user may write all files";
  EXPECT_THROW(write_tensor(kept, "", tensor_from_text("{1}")), Error);
  EXPECT_EQ(file_text(kept), "precious");
}

TEST(OutputFiles, that_are_half_written_go_with_the_process) {
  const ScratchFolder folder;
  {
    AsideFile file(folder / "half");
    unlink_aside_files();
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  }
  AsideFile file(folder / "whole");
  file.commit();
  unlink_aside_files();
  EXPECT_TRUE(std::filesystem::exists(folder / "whole"));
}

// A pipe that nobody reads stops `generate` while its other file is open.
TEST(OutputFiles, that_are_half_written_go_when_the_process_is_ended) {
  const ScratchFolder folder;
  ASSERT_EQ(::mkfifo((folder / "model.onnx.data").c_str(), 0600), 0);
  const pid_t process = ::fork();
  if (process == 0) {
    ::execl(TESSERA_RUNNER, "tessera", "generate", "dit", "-o", folder.path().c_str(), nullptr);
    ::_exit(127);
  }
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(folder.path()), {}); };
  for (int i = 0; i < 1000 && files() < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(files(), 2) << "the pipe and what is begun of model.onnx";
  ::kill(process, SIGTERM);
  int status = 0;
  ::waitpid(process, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
  EXPECT_EQ(files(), 1);
}

TEST(OutputFiles, are_all_written_but_the_one_that_fails) {
  const ScratchFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "full.npy");
  const Ran r =
      tessera_cli({"run", source_path("tests/data/models/classifier.textproto"), "--input", "image=zeros", "--output",
                   "logits=" + (folder / "full.npy"), "--save", folder / "all.npz", "--trace", folder / "t.json"});
  EXPECT_EQ(r.code, 6) << r.err;
  EXPECT_NE(r.err.find("full.npy': No space left"), std::string::npos) << r.err;
  EXPECT_NE(r.out.find("wrote    " + (folder / "t.json")), std::string::npos) << r.out;
  EXPECT_EQ(r.out.find("full.npy"), std::string::npos) << r.out;
  EXPECT_TRUE(std::filesystem::exists(folder / "all.npz"));
}

}  // namespace
}  // namespace tessera
