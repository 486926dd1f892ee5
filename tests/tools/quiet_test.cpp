// --quiet: nothing but errors, of every subcommand, and results where --format asks for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/tensor/text.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"
#include "tools/tensor_files.h"

namespace tessera {
namespace {

using testing::HasSubstr;

const std::string model = source_path("tests/data/models/attention.textproto"),
                  fixed = source_path("tests/data/models/classifier.textproto");

Ran quietly(std::vector<std::string> arguments) {
  arguments.emplace_back("--quiet");
  const Ran r = tessera_cli(arguments);
  EXPECT_EQ(r.out, "") << arguments[0];
  return r;
}

TEST(Quiet, silences_every_subcommand) {
  const ScratchFolder folder;
  const std::string policy = folder / "p.yaml", saved = folder / "saved.onnx", lock = folder / "lock.json",
                    plot = folder / "plot.svg", generated = folder / "dit";
  std::ofstream(policy) << "version: 1\ngrid: [4, 4]\nplugins: [vsa]\n"
                           "rules: [{use: vsa, with: {tile: [2, 2], sparsity: 0.5}, else: dense}]\n";
  const std::vector<std::vector<std::string>> cases = {
      {"run", fixed, "--input", "image=random:normal", "--profile"},
      {"grad", fixed, "--loss", "logits", "--wrt", "image", "--input", "image=zeros", "--dout", "random:normal"},
      {"inspect", fixed},
      {"inspect", "--passes"},
      {"inspect", fixed, "--why", "fuse_gelu"},
      {"inspect", model, "--set", "batch=2", "--sites", "--after", "sites", "--save-model", saved},
      {"explain", model, "--set", "batch=2", "--policy", policy, "--lock", lock},
      {"compare", model, "--set", "batch=2", "--policy", policy, "--repeat", "1", "--plot", plot},
      {"bench", fixed, fixed, "--repeat", "1", "--warmup", "0"},
      {"ops"},
      {"ops", "Relu"},
      {"ops", "Relu", "--check"},
      {"plugins", "list"},
      {"plugins", "info", "vsa"},
      {"plugins", "doctor", "vsa"},
      {"generate", "dit", "-o", generated},
  };
  for (const auto& c : cases) {
    const Ran r = quietly(c);
    EXPECT_EQ(r.code, 0) << c[0];
    EXPECT_EQ(r.err, "") << c[0];
  }
  for (const auto& written : {saved, lock, plot, generated + "/model.onnx"})
    EXPECT_TRUE(std::filesystem::exists(written)) << written;
}

TEST(Quiet, leaves_a_result_whose_format_is_asked_for) {
  const Ran r = tessera_cli({"bench", fixed, "--repeat", "1", "--warmup", "0", "--quiet", "--format", "json"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(r.err, "");  // no remark on random inputs
  EXPECT_THAT(r.out, testing::StartsWith("{"));
}

TEST(Quiet, lets_errors_through) {
  const ScratchFolder folder;
  const std::string set = folder / "test_data_set_0";
  std::filesystem::create_directory(set);
  std::filesystem::copy(fixed, folder / "model.textproto");
  write_tensor(set + "/input_0.pb", "image", tensor_from_text("{{1, 2, 3, 4}, {5, 6, 7, 8}}"));
  ASSERT_EQ(quietly({"run", fixed, "--inputs", set, "--output", "logits=" + set + "/output_0.pb"}).code, 0);
  const Ran same = quietly({"verify", folder.path()});
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(same.err, "");
  write_tensor(set + "/output_0.pb", "logits", tensor_from_text("{{1, 2, 3}, {4, 5, 6}}"));
  const Ran differs = quietly({"verify", folder.path()});
  EXPECT_EQ(differs.code, 1);
  EXPECT_THAT(differs.err, HasSubstr("logits"));

  const Ran missing = quietly({"run", fixed});
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("tessera: error: input 'image'"));
  const Ran slow = quietly({"bench", fixed, "--repeat", "1", "--require", "median_s<0"});
  EXPECT_EQ(slow.code, 7);
  EXPECT_THAT(slow.err, HasSubstr("required median_s<0"));
  const Ran doctor = quietly({"plugins", "doctor", fixed});
  EXPECT_EQ(doctor.code, 5);
  EXPECT_THAT(doctor.err, HasSubstr("failed"));
}

}  // namespace
}  // namespace tessera
